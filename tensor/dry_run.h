// SPDX-License-Identifier: MIT
// A step of which only the memory is wanted.
//
// While a DryRun lives, operations of its thread on the CPU check their operands and ask for and
// give back memory as they always do, in the same order, but compute nothing and change nothing:
// loops of parallel.h are passed over, convolutions only planned, weights not packed. What results
// hold is undefined, as a rule zero. An arena that the step runs in is not touched, so its peak is
// known in a moment and costs nothing, whatever the size of the batch. A GPU's work is not held
// back.
#pragma once

#include <cstdint>

namespace ydistill {

class DryRun {
 public:
  DryRun();
  ~DryRun();
  DryRun(const DryRun&) = delete;
  DryRun& operator=(const DryRun&) = delete;

  /// Whether there is one on this thread.
  static bool is_on() { return current_ != nullptr; }
  /// For operations: memory they would keep beyond the step, outside any arena.
  static void keep(int64_t nbytes) { current_->kept_ += nbytes; }
  /// For operations: a plan of a convolution that they would build and keep.
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
