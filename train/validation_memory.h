// SPDX-License-Identifier: MIT
// The arena memory of the validation between epochs, computed before the first training step.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/config.h>
#include <ydistill/train/step.h>
#include <ydistill/yolo/inference.h>

namespace ydistill {

/// For a training on the CPU. Nothing is computed (DryRun).
class ValidationMemory {
 public:
  /// student: its graph. losses: those of the training, whose detection loss is also computed.
  /// teacher: null, or one that is validated before the first epoch (teacher.validate); borrowed.
  ValidationMemory(const Config& config, std::shared_ptr<const Dataset> pictures,
                   const GraphSpec& student, const StepLosses& losses, Teacher* teacher,
                   const Compute& compute);

  /// The different shapes [N,H,W,3] of batches, the largest first.
  const std::vector<Shape>& batch_shapes() const { return shapes_; }
  /// The student's memory for the largest batch.
  InferenceMemory of_student() const { return of_student(shapes_[0][0]); }
  /// The peak of the arena for the largest batch, over the student and the teacher.
  int64_t arena_bytes() const { return arena_bytes(shapes_[0][0]); }
  /// The same for this number of pictures of the largest batch's size.
  int64_t arena_bytes(int64_t pictures) const;
  /// The largest val.batch within this limit; 0: not even one picture fits.
  int64_t largest_batch(int64_t arena_bytes) const;

 private:
  InferenceMemory of_student(int64_t pictures) const;
  Shape batch_of(int64_t pictures) const;

  std::vector<Shape> shapes_;
  std::unique_ptr<Model> student_;
  DetectionLossOptions loss_;
  Teacher* teacher_;
};

}  // namespace ydistill
