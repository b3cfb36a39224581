// SPDX-License-Identifier: MIT
// The numbers of an epoch.
#pragma once

#include <cstdint>
#include <span>

#include <ydistill/train/evaluate.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step_runner.h>

namespace ydistill {

/// One line of results.csv: YOLOv5's columns, then those of the distillation.
struct EpochResult {
  int64_t epoch = 0;
  double train_box = 0, train_obj = 0, train_cls = 0;
  double train_distill = 0;  ///< the sum of the four below
  double precision = 0, recall = 0, map50 = 0, map = 0;
  double val_box = 0, val_obj = 0, val_cls = 0;
  double lr_bias = 0, lr_decay = 0, lr_no_decay = 0;
  double distill_box = 0, distill_obj = 0, distill_cls = 0, distill_feature = 0;
  /// Share of pictures without labels, 0..1: the detection loss covers only the others.
  double unlabelled = 0;
  /// Gradient norm of the distillation loss over that of the detection loss, both at the heads
  /// (where the feature term has none) and over the whole epoch: how strongly the teacher's logits
  /// count.
  double grad_ratio = 0;

  double fitness() const { return 0.1 * map50 + 0.9 * map; }
};

/// A number of an epoch and its column name in results.csv (train/box_loss, metrics/mAP_0.5,
/// x/lr0).
struct EpochColumn {
  const char* name;
  double EpochResult::*value;
};
/// In the order of results.csv, after the epoch. Code that writes or draws results uses these.
std::span<const EpochColumn> epoch_columns();

/// sums: of `batches` batches; validation: of the weights after them; unlabelled: the share of
/// pictures without labels, 0..1; rates: of the last step.
EpochResult epoch_result(int64_t epoch, const StepSums& sums, int64_t batches,
                         const EvaluateResult& validation, double unlabelled,
                         const OptimizerRates& rates);

}  // namespace ydistill
