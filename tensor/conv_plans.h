// SPDX-License-Identifier: MIT
// The number of convolution plans kept on the CPU.
//
// A plan is the code that a library generated for one convolution of one shape in one direction, a
// few tens of KiB. Training with varying input sizes, or a server with inputs of every shape, would
// accumulate them without limit; so the least recently used are dropped when there are too many.
// Rebuilding one takes a fraction of a millisecond and gives the same bits.
#pragma once

#include <cstdint>

namespace ydistill {

/// Plans kept by the process. A distillation step of the largest graphs has about 600, so there is
/// room for a few batch shapes; together they take some 50 MiB.
inline constexpr int64_t kMaxConvPlans = 1024;

/// A running step. While any exists, on any thread, no plan is dropped that was used since the
/// oldest of them began, even beyond kMaxConvPlans. So a step finds the plans of its last run,
/// however many, unless other shapes were used in between.
class ConvStep {
 public:
  ConvStep();
  ~ConvStep();
  ConvStep(const ConvStep&) = delete;
  ConvStep& operator=(const ConvStep&) = delete;

 private:
  [[maybe_unused]] uint64_t began_ = 0;
};

}  // namespace ydistill
