// SPDX-License-Identifier: MIT
#include <ydistill/train/run_folder.h>

#include <fmt/format.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
}

constexpr const char* kHeader =
    "epoch,train/box_loss,train/obj_loss,train/cls_loss,train/distill_loss,metrics/precision,"
    "metrics/recall,metrics/mAP_0.5,metrics/mAP_0.5:0.95,val/box_loss,val/obj_loss,val/cls_loss,"
    "x/lr0,x/lr1,x/lr2\n";

}  // namespace

RunFolder RunFolder::create(const RunConfig& run) {
  make_folder(run.dir);
  for (int number = 1;; ++number) {
    const fs::path path =
        run.dir / (number == 1 ? run.name : fmt::format("{}{}", run.name, number));
    std::error_code error;
    if (fs::create_directories(path, error)) {
      make_folder(path / "weights");
      return RunFolder(path);
    }
    if (error) {
      throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
    }
  }
}

RunFolder RunFolder::open(const fs::path& path) {
  RunFolder folder(path);
  std::error_code ignored;
  if (!fs::exists(folder.last(), ignored)) {
    throw FileError("{}: not the folder of a run, there is no weights/last.safetensors in it",
                    path.string());
  }
  return folder;
}

void RunFolder::write_config(const Config& config) const {
  write_file_atomically(path_ / "config.json", to_json(config) + "\n");
}

void RunFolder::write_results(const std::vector<EpochResult>& results) const {
  std::string text = kHeader;
  for (const EpochResult& r : results) {
    text += fmt::format("{}", r.epoch);
    for (const double v :
         {r.train_box, r.train_obj, r.train_cls, r.train_distill, r.precision, r.recall, r.map50,
          r.map, r.val_box, r.val_obj, r.val_cls, r.lr_bias, r.lr_decay, r.lr_no_decay}) {
      text += fmt::format(",{:.6g}", v);
    }
    text += "\n";
  }
  write_file_atomically(path_ / "results.csv", text);
}

}  // namespace ydistill
