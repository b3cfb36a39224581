// SPDX-License-Identifier: MIT
// Learning rates, momentum, clipping and accumulation for every iteration, as YOLOv5 sets them.
#pragma once

#include <cstdint>

#include <ydistill/train/config.h>
#include <ydistill/train/optimizer.h>

namespace ydistill {

/// An iteration is one batch; ni counts them over the whole run from 0.
class Schedule {
 public:
  Schedule(const TrainConfig& config, int64_t batches_per_epoch);

  /// Factor of lr0 in an epoch: linear or cosine, from 1 to lrf.
  double lr_factor(int64_t epoch) const;
  /// Rates of iteration ni in `epoch`. During warm-up (ni <= warmup_iterations()) the biases' rate
  /// falls from warmup_bias_lr, the others' rises from 0, and sgd's momentum rises from
  /// warmup_momentum.
  OptimizerRates rates(int64_t ni, int64_t epoch) const;
  /// Batches per optimizer step at iteration ni: in the warm-up rises from 1 to nominal_batch /
  /// batch.
  int64_t accumulate(int64_t ni) const;
  int64_t warmup_iterations() const { return warmup_; }
  /// True if the optimizer steps after iteration ni; last_step: the iteration of the previous step,
  /// initially -1.
  bool steps_at(int64_t ni, int64_t last_step) const;

 private:
  TrainConfig config_;
  int64_t warmup_;
  int64_t full_accumulate_;
};

}  // namespace ydistill
