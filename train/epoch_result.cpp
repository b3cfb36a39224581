// SPDX-License-Identifier: MIT
#include <ydistill/train/epoch_result.h>

#include <algorithm>
#include <cmath>

namespace ydistill {
namespace {

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

EpochResult epoch_result(int64_t epoch, const StepSums& sums, int64_t batches,
                         const EvaluateResult& validation, double unlabelled,
                         const OptimizerRates& rates) {
  const double n = double(std::max<int64_t>(batches, 1));
  EpochResult result;
  result.epoch = epoch;
  result.train_box = sums.box / n;
  result.train_obj = sums.obj / n;
  result.train_cls = sums.cls / n;
  result.train_distill = sums.distill() / n;
  result.distill_box = sums.distill_box / n;
  result.distill_obj = sums.distill_obj / n;
  result.distill_cls = sums.distill_cls / n;
  result.distill_feature = sums.distill_feature / n;
  result.unlabelled = unlabelled;
  if (sums.detection_square > 0) {
    result.grad_ratio = std::sqrt(sums.distill_square / sums.detection_square);
  }
  const MetricsResult& m = validation.metrics;
  result.precision = m.precision;
  result.recall = m.recall;
  result.map50 = m.map50;
  result.map = m.map;
  result.val_box = validation.loss.box;
  result.val_obj = validation.loss.obj;
  result.val_cls = validation.loss.cls;
  result.lr_bias = rates.lr[size_t(ParameterGroup::kBias)];
  result.lr_decay = rates.lr[size_t(ParameterGroup::kDecay)];
  result.lr_no_decay = rates.lr[size_t(ParameterGroup::kNoDecay)];
  return result;
}

}  // namespace ydistill
