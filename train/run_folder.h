// SPDX-License-Identifier: MIT
// The folder of a run: config.json, results.csv, pictures, weights/{last,best}.safetensors.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/train/config.h>

namespace ydistill {

/// One line of results.csv: YOLOv5's columns and the distillation loss.
struct EpochResult {
  int64_t epoch = 0;
  double train_box = 0, train_obj = 0, train_cls = 0, train_distill = 0;
  double precision = 0, recall = 0, map50 = 0, map = 0;
  double val_box = 0, val_obj = 0, val_cls = 0;
  double lr_bias = 0, lr_decay = 0, lr_no_decay = 0;

  double fitness() const { return 0.1 * map50 + 0.9 * map; }
};

class RunFolder {
 public:
  /// Makes dir/NAME, or NAME2, NAME3, ... where that exists. throws FileError.
  static RunFolder create(const RunConfig& run);
  /// An existing run, given its folder. throws FileError if it holds no weights/last.safetensors.
  static RunFolder open(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last() const { return path_ / "weights" / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "weights" / "best.safetensors"; }

  void write_config(const Config& config) const;
  /// Replaces results.csv by these lines. throws FileError.
  void write_results(const std::vector<EpochResult>& results) const;

 private:
  explicit RunFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace ydistill
