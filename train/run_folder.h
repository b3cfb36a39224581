// SPDX-License-Identifier: MIT
// The folder of a run: config.json, results.csv, pictures, weights/{last,best}.safetensors, on a
// GPU plans.json.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/tensor/io/folder_lock.h>
#include <ydistill/train/config.h>

namespace ydistill {

/// One line of results.csv: YOLOv5's columns, then what the distillation adds.
struct EpochResult {
  int64_t epoch = 0;
  double train_box = 0, train_obj = 0, train_cls = 0;
  double train_distill = 0;  ///< the sum of the four below
  double precision = 0, recall = 0, map50 = 0, map = 0;
  double val_box = 0, val_obj = 0, val_cls = 0;
  double lr_bias = 0, lr_decay = 0, lr_no_decay = 0;
  double distill_box = 0, distill_obj = 0, distill_cls = 0, distill_feature = 0;
  /// Share of the pictures that had no labels, 0..1: the detection loss is of the others alone.
  double unlabelled = 0;
  /// How loudly the teacher speaks: the norm of the distillation loss's gradient at the heads over
  /// that of the detection loss, both taken over the whole epoch.
  double grad_ratio = 0;

  double fitness() const { return 0.1 * map50 + 0.9 * map; }
};

/// A number of an epoch and its name in results.csv (train/box_loss, metrics/mAP_0.5, x/lr0).
struct EpochColumn {
  const char* name;
  double EpochResult::*value;
};
/// In the order of results.csv, behind the epoch. What writes or draws results walks these.
std::span<const EpochColumn> epoch_columns();

/// Batches of the first training epoch and of the last validation that are drawn into the folder.
inline constexpr int64_t kDrawnBatches = 3;

class RunFolder {
 public:
  /// Makes dir/NAME, or NAME2, NAME3, ... where that exists. throws FileError.
  static RunFolder create(const RunConfig& run);
  /// An existing run, given its folder; what a killed process left half written is removed.
  /// throws FileError if it holds no weights/last.safetensors, if another process works in it, or
  /// if it cannot be written to.
  static RunFolder open(const std::filesystem::path& path);
  /// A run that another process has created or opened, for reading from it.
  static RunFolder of_another(const std::filesystem::path& path);

  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path last() const { return path_ / "weights" / "last.safetensors"; }
  std::filesystem::path best() const { return path_ / "weights" / "best.safetensors"; }
  std::filesystem::path conv_plans() const { return path_ / "plans.json"; }

  void write_config(const Config& config) const;
  /// Whether the folder's config.json says anything else than `config`; false where there is none.
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
