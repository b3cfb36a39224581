// SPDX-License-Identifier: MIT
#include <ydistill/train/run_folder.h>

#include <fmt/format.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/tensor/io/writable_folder.h>
#include <ydistill/train/train_state.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error)
    throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
}

}  // namespace

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
    std::error_code ignored;
    if (error && fs::is_regular_file(path, ignored)) continue;
    if (error) {
      throw FileError("{}: the run folder cannot be made: {}", path.string(), error.message());
    }
  }
}

RunFolder RunFolder::open(const fs::path& path) {
  std::error_code ignored;
  if (fs::is_regular_file(path, ignored)) {
    throw FileError("{}: a file; expected the folder of a run", path.string());
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

fs::path RunFolder::of_checkpoint(const fs::path& path) {
  std::error_code ignored;
  const fs::path weights = fs::absolute(path).parent_path();
  const bool is_checkpoint = path.filename() == "last.safetensors" &&
                             weights.filename() == "weights" && fs::is_regular_file(path, ignored);
  return is_checkpoint ? weights.parent_path() : path;
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
    return to_json(parse_run_config(read_text_file(file), file.string())) != to_json(config);
  } catch (const Error&) {  // unreadable, or no longer a config
    return true;
  }
}

void RunFolder::write_results(const std::vector<EpochResult>& results) const {
  std::string text = "epoch";
  for (const EpochColumn& column : epoch_columns()) text += fmt::format(",{}", column.name);
  text += "\n";
  for (const EpochResult& result : results) {
    text += fmt::format("{}", result.epoch);
    for (const EpochColumn& column : epoch_columns())
      text += fmt::format(",{:.6g}", result.*column.value);
    text += "\n";
  }
  write_file_atomically(path_ / "results.csv", text);
}

}  // namespace ydistill
