// SPDX-License-Identifier: MIT
// Refuses a training that does not fit into memory, and reports the batch that would fit.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include <ydistill/data/dataset.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/config.h>
#include <ydistill/train/step.h>

namespace ydistill {

/// Everything is borrowed, and read only when a member function is called.
struct MemoryCheck {
  const Config& config;
  Model& student;
  Teacher* teacher;  ///< null: none
  const StepLosses& losses;
  const std::shared_ptr<const Dataset>& val_pictures;
  const Compute& compute;
  int64_t processes = 1;  ///< that share a batch
  int64_t own_batch = 1;  ///< the largest number of a batch's pictures that one process has

  /// On the CPU the memory of a step and of a validation batch is computed in advance; on a GPU
  /// nothing is checked. throws OutOfMemoryError.
  void before_first_step(int64_t limit_bytes) const;

  /// For a step that takes more than `limit_bytes`; reason: for the message. throws
  /// OutOfMemoryError.
  [[noreturn]] void refuse_batch(const std::string& reason, int64_t limit_bytes) const;
};

}  // namespace ydistill
