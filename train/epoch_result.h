// SPDX-License-Identifier: MIT
// The numbers of an epoch.
#pragma once

#include <cstdint>
#include <span>

#include <ydistill/train/evaluate.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step_runner.h>

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
  /// How loudly the teacher speaks through its logits: the norm of the distillation loss's gradient
  /// at the heads, where the feature term has none, over that of the detection loss, both taken
  /// over the whole epoch.
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

/// sums: of `batches` batches; validation: of the weights after them; unlabelled: the share of
/// pictures without labels, 0..1; rates: of the last step.
EpochResult epoch_result(int64_t epoch, const StepSums& sums, int64_t batches,
                         const EvaluateResult& validation, double unlabelled,
                         const OptimizerRates& rates);

}  // namespace ydistill
