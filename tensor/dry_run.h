// SPDX-License-Identifier: MIT
// Measures the memory of a step without computing it.
//
// While a DryRun exists, CPU operations of its thread check their operands and allocate and free
// memory as usual, in the same order, but compute and change nothing: loops of parallel.h are
// skipped, convolutions only planned, weights not packed. Results are undefined, usually zero. The
// memory of the step's arena is not touched, so its peak is known quickly and at no cost for any
// batch size. Work on a GPU is not suppressed.
#pragma once

#include <cstdint>

namespace ydistill {

class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  /// Whether this thread has one.
  static bool is_on() { return current_ != nullptr; }
  /// For operations: reports memory that they would keep after the step, outside any arena.
  static void keep(int64_t nbytes) { current_->kept_ += nbytes; }
  /// For operations: reports a convolution plan that they would build and keep.
  static void plan() { ++current_->plans_; }

  int64_t kept_bytes() const { return kept_; }
  int64_t plans() const { return plans_; }

 private:
  static constinit thread_local DryRun* current_;
  DryRun* outer_;
  int64_t kept_ = 0;
  int64_t plans_ = 0;
};

}  // namespace ydistill
