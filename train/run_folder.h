// SPDX-License-Identifier: MIT
// The folder of a run: config.json, results.csv, pictures, weights/{last,best}.safetensors, on a
// GPU plans.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/tensor/io/folder_lock.h>
#include <ydistill/train/config.h>
#include <ydistill/train/epoch_result.h>

namespace ydistill {

/// Number of batches of the first training epoch, and of the last validation, that are drawn.
inline constexpr int64_t kDrawnBatches = 3;

class RunFolder {
 public:
  /// Creates dir/NAME, or NAME2, NAME3, ... if that exists. throws FileError.
  static RunFolder create(const RunConfig& run);
  /// An existing run, given its folder; partly written files of a killed process are removed.
  /// throws FileError if it holds no weights/last.safetensors, if another process uses it, or if it
  /// cannot be written to.
  static RunFolder open(const std::filesystem::path& path);
  /// RUN for RUN/weights/last.safetensors, where that exists; else the path itself.
  static std::filesystem::path of_checkpoint(const std::filesystem::path& path);
  /// A run that another process has created or opened, for reading only.
  static RunFolder of_another(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last() const { return path_ / "weights" / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "weights" / "best.safetensors"; }
  std::filesystem::path conv_plans() const { return path_ / "plans.json"; }

  void write_config(const Config& config) const;
  /// Whether the folder's config.json differs from `config`; false if there is none.
  bool has_other_config(const Config& config) const;
  /// Replaces results.csv by these lines. throws FileError.
  void write_results(const std::vector<EpochResult>& results) const;

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  void lock() { lock_.emplace(path_); }

  std::filesystem::path path_;
  std::optional<FolderLock> lock_;  // as long as this object is in use
};

}  // namespace ydistill
