// SPDX-License-Identifier: MIT
// Runs the steps of a training on the student's device: directly on the CPU; on a GPU without
// waiting for it, as one captured graph per batch shape.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include <ydistill/data/device_pictures.h>
#include <ydistill/data/loader.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/train/step.h>

namespace ydistill {

/// Sums over batches; the terms as YOLOv5 logs them.
struct StepSums {
  double box = 0, obj = 0, cls = 0;
  /// Terms of the distillation; those of each batch are divided by its number of pictures.
  double distill_box = 0, distill_obj = 0, distill_cls = 0, distill_feature = 0;
  /// Square sums of the two losses' gradients at the heads.
  double detection_square = 0, distill_square = 0;
  int64_t skipped_steps = 0;  ///< optimizer steps not taken because a gradient was not finite

  double distill() const { return distill_box + distill_obj + distill_cls + distill_feature; }
  StepSums& operator+=(const StepSums& other);
};

/// The pictures of a batch over which a number is averaged.
enum class MeanOver { kAll, kLabelled, kNothing };

/// The numbers of StepSums that are sums over batches, by name; checkpoints store these.
struct StepSum {
  const char* name;
  double StepSums::*value;
  MeanOver mean_over;  ///< in each batch; kNothing: a sum over its pictures
};
std::span<const StepSum> step_sums();

class StepRunner {
 public:
  virtual ~StepRunner() = default;
  /// Teacher, student, losses and backward pass of one batch; gradients are added.
  /// throws ValueError for targets out of range, OutOfMemoryError.
  virtual void accumulate(const Batch& batch) = 0;
  /// One optimizer step, clipped as set in the rates.
  virtual void step(const OptimizerRates& rates) = 0;
  /// The sums since the last call; on a GPU this waits for them.
  virtual StepSums take() = 0;
  /// How many batches apart take() should be called, because it waits.
  virtual int64_t batches_between_takes() const = 0;
  /// The peak device memory of the steps so far, in bytes, without parameters.
  virtual int64_t memory_bytes() const = 0;
};

/// Everything is borrowed. arena: on the student's device, used only by the runner while it works.
/// pictures: for a GPU whose batches hold plans. exchange: each process runs its share of a batch,
/// and step() sums the gradients of all.
std::unique_ptr<StepRunner> make_step_runner(Model& student, Teacher* teacher, Optimizer& optimizer,
                                             StepLosses& losses, std::shared_ptr<Arena> arena,
                                             std::shared_ptr<DevicePictures> pictures = nullptr,
                                             Exchange& exchange = single_process());

/// The memory of a step, without parameters and what belongs to them.
struct StepMemory {
  int64_t arena_bytes = 0;   ///< activations, gradients of activations, scratch: the arena's peak
  int64_t packed_bytes = 0;  ///< working copies of weights, kept from step to step; only on the CPU
  int64_t plans = 0;         ///< number of planned convolutions; only on the CPU
};

/// For the first step on a batch of such pictures without labels. On the CPU nothing is computed
/// (DryRun) and the limit is ignored. On a GPU the step runs in an arena of its own; gradients are
/// zeroed and running statistics change. throws OutOfMemoryError if it does not fit.
StepMemory memory_of_step(Model& student, Teacher* teacher, const StepLosses& losses,
                          int64_t pictures, int64_t image_size, int64_t limit_bytes = 0);

/// The largest batch whose step fits into this limit; on a GPU an estimate from one picture. 0: not
/// even one picture fits. throws OutOfMemoryError in that case on a GPU.
int64_t fitting_batch(Model& student, Teacher* teacher, const StepLosses& losses,
                      int64_t image_size, int64_t limit_bytes);

/// The largest n (about) with bytes_of(n) <= limit, for an almost linear, rising function; 0: none.
int64_t largest_below(int64_t limit, const std::function<int64_t(int64_t)>& bytes_of);

}  // namespace ydistill
