// SPDX-License-Identifier: MIT
#include <ydistill/train/memory_check.h>

#include <fmt/format.h>

#include <ydistill/train/loader_options.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/train/validation_memory.h>

namespace ydistill {

void MemoryCheck::refuse_batch(const std::string& reason, int64_t limit_bytes) const {
  const int64_t side = largest_side(config, student.spec());
  std::string fitting = "not even a single picture would";
  try {
    const int64_t fits = processes * fitting_batch(student, teacher, losses, side, limit_bytes);
    if (fits > 0) fitting = fmt::format("about {} would", fits);
  } catch (const Error&) {
  }
  throw OutOfMemoryError(
      "train.batch {} at train.image_size {}{} does not fit into memory ({}); {}",
      config.train.batch, config.train.image_size,
      config.train.multi_scale > 0 ? fmt::format(", with train.multi_scale up to {},", side) : "",
      reason, fitting);
}

void MemoryCheck::before_first_step(int64_t limit_bytes) const {
  if (compute.device.is_cuda()) return;
  const auto mib = [](int64_t bytes) { return double(bytes) / 1048576.0; };
  const auto reason = [&](const char* what, int64_t bytes) {
    return fmt::format("{} takes {:.1f} MiB, {} {:.1f} MiB", what, mib(bytes),
                       config.train.memory_mib > 0 ? "train.memory_mib is" : "the machine has",
                       mib(limit_bytes));
  };
  const int64_t side = largest_side(config, student.spec());
  const int64_t step = memory_of_step(student, teacher, losses, own_batch, side).arena_bytes;
  if (step > limit_bytes) refuse_batch(reason("a step", step), limit_bytes);
  const ValidationMemory validation(config, val_pictures, student.spec(), losses, teacher, compute);
  const int64_t needed = validation.arena_bytes();
  if (needed <= limit_bytes) return;
  const int64_t fits = validation.largest_batch(limit_bytes);
  throw OutOfMemoryError(
      "val.batch {} at val.image_size {} does not fit into memory ({}); {}", config.val.batch,
      config.val.image_size, reason("a batch of validation", needed),
      fits > 0 ? fmt::format("{} would", fits) : "not even a single picture would");
}

}  // namespace ydistill
