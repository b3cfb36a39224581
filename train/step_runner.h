// SPDX-License-Identifier: MIT
// Runs the steps of a training on the student's device: at once on the CPU; on a GPU without
// waiting for it, as one captured graph a shape of batch.
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
  /// Terms of the distillation, each batch's divided by its number of pictures.
  double distill_box = 0, distill_obj = 0, distill_cls = 0, distill_feature = 0;
  /// Square sums of the two losses' gradients at the heads.
  double detection_square = 0, distill_square = 0;
  int64_t skipped_steps = 0;  ///< optimizer steps not taken because a gradient was not finite

  double distill() const { return distill_box + distill_obj + distill_cls + distill_feature; }
  StepSums& operator+=(const StepSums& other);
};

/// The pictures of a batch over which a number is a mean.
enum class MeanOver { kAll, kLabelled, kNothing };

/// The numbers of StepSums that are sums over batches, by name: what checkpoints keep.
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
  /// One optimizer step, clipped as the rates say.
  virtual void step(const OptimizerRates& rates) = 0;
  /// What there is since the last call; on a GPU it waits for it.
  virtual StepSums take() = 0;
  /// take() is worth its wait once in so many batches.
  virtual int64_t batches_between_takes() const = 0;
  /// The largest amount that steps have taken of the device so far, in bytes, without parameters.
  virtual int64_t memory_bytes() const = 0;
};

/// Everything is borrowed. arena: of the student's device, open to the runner alone while it works.
/// pictures: on a GPU, where batches hold plans. exchange: each process runs its share of a batch,
/// and step() sums what all have found.
std::unique_ptr<StepRunner> make_step_runner(Model& student, Teacher* teacher, Optimizer& optimizer,
                                             StepLosses& losses, std::shared_ptr<Arena> arena,
                                             std::shared_ptr<DevicePictures> pictures = nullptr,
                                             Exchange& exchange = single_process());

/// What a step takes, without parameters and what belongs to them.
struct StepMemory {
  int64_t arena_bytes = 0;   ///< activations, gradients of activations, scratch: the arena's peak
  int64_t packed_bytes = 0;  ///< working copies of weights, kept from step to step; of the CPU
  int64_t plans = 0;         ///< convolutions planned; of the CPU
};

/// Of the first step on a batch of such pictures without a label. On the CPU nothing is computed
/// (DryRun) and the limit does not count; on a GPU the step is tried in an arena of its own, and
/// what it adds to the gradients is taken back. throws OutOfMemoryError where it does not fit.
StepMemory memory_of_step(Model& student, Teacher* teacher, const StepLosses& losses,
                          int64_t pictures, int64_t image_size, int64_t limit_bytes = 0);

/// The largest batch whose step fits into this much; on a GPU about that, from one picture.
/// 0: not even one picture does. throws OutOfMemoryError for that on a GPU.
int64_t fitting_batch(Model& student, Teacher* teacher, const StepLosses& losses,
                      int64_t image_size, int64_t limit_bytes);

/// The largest n with bytes_of(n) <= limit, of a function that rises almost along a line; 0: none.
int64_t largest_below(int64_t limit, const std::function<int64_t(int64_t)>& bytes_of);

}  // namespace ydistill
