// SPDX-License-Identifier: MIT
#include <ydistill/train/run_folder.h>

#include <fmt/format.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/writable_folder.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
}

constexpr EpochColumn kColumns[] = {
    {"train/box_loss", &EpochResult::train_box},
    {"train/obj_loss", &EpochResult::train_obj},
    {"train/cls_loss", &EpochResult::train_cls},
    {"train/distill_loss", &EpochResult::train_distill},
    {"metrics/precision", &EpochResult::precision},
    {"metrics/recall", &EpochResult::recall},
    {"metrics/mAP_0.5", &EpochResult::map50},
    {"metrics/mAP_0.5:0.95", &EpochResult::map},
    {"val/box_loss", &EpochResult::val_box},
    {"val/obj_loss", &EpochResult::val_obj},
    {"val/cls_loss", &EpochResult::val_cls},
    {"x/lr0", &EpochResult::lr_bias},
    {"x/lr1", &EpochResult::lr_decay},
    {"x/lr2", &EpochResult::lr_no_decay},
    {"train/distill_box_loss", &EpochResult::distill_box},
    {"train/distill_obj_loss", &EpochResult::distill_obj},
    {"train/distill_cls_loss", &EpochResult::distill_cls},
    {"train/distill_feature_loss", &EpochResult::distill_feature},
    {"train/unlabelled", &EpochResult::unlabelled},
    {"train/grad_ratio", &EpochResult::grad_ratio},
};

}  // namespace

std::span<const EpochColumn> epoch_columns() {
  return kColumns;
}

RunFolder RunFolder::create(const RunConfig& run) {
  make_folder(run.dir);
  for (int number = 1;; ++number) {
    const fs::path path =
        run.dir / (number == 1 ? run.name : fmt::format("{}{}", run.name, number));
    std::error_code error;
    if (fs::create_directories(path, error)) {
      make_folder(path / "weights");
      RunFolder folder(path);
      folder.lock();
      return folder;
    }
    if (error) {
      throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
    }
  }
}

RunFolder RunFolder::open(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    throw FileError("{}: a file; the folder of a run is wanted", path.string());
  }
  if (!fs::exists(path / "weights" / "last.safetensors", ignored)) {
    throw FileError("{}: not the folder of a run, there is no weights/last.safetensors in it",
                    path.string());
  }
  RunFolder folder(path);
  folder.lock();
  check_folder_is_writable(path);
  check_folder_is_writable(path / "weights");
  remove_left_temporaries(path);
  remove_left_temporaries(path / "weights");
  return folder;
}

RunFolder RunFolder::of_another(const fs::path& path) {
  return RunFolder(path);
}

void RunFolder::write_config(const Config& config) const {
  write_file_atomically(path_ / "config.json", to_json(config) + "\n");
}

bool RunFolder::has_other_config(const Config& config) const {
  const fs::path file = path_ / "config.json";
  std::error_code ignored;
  if (!fs::exists(file, ignored)) return false;
  try {
    return to_json(load_config(file, {})) != to_json(config);
  } catch (const Error&) {  // cannot be read, or is no config any more
    return true;
  }
}

void RunFolder::write_results(const std::vector<EpochResult>& results) const {
  std::string text = "epoch";
  for (const EpochColumn& column : kColumns) text += fmt::format(",{}", column.name);
  text += "\n";
  for (const EpochResult& result : results) {
    text += fmt::format("{}", result.epoch);
    for (const EpochColumn& column : kColumns) text += fmt::format(",{:.6g}", result.*column.value);
    text += "\n";
  }
  write_file_atomically(path_ / "results.csv", text);
}

}  // namespace ydistill
