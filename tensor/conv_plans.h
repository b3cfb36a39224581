// SPDX-License-Identifier: MIT
// How many plans of convolutions the CPU keeps.
//
// A plan is the code that a library generated for one convolution of one shape in one direction, a
// few tens of KiB. A training whose pictures change their size, or a server that sees pictures of
// every shape, would gather them without end; so the ones not used for longest go when there are
// too many. Building one anew takes a fraction of a millisecond and gives the same bits.
#pragma once

#include <cstdint>

namespace ydistill {

/// Plans kept by the process. A distillation step of the largest graphs has about 600, so that a
/// few shapes of batch keep theirs; together they take some 50 MiB.
inline constexpr int64_t kMaxConvPlans = 1024;

/// A step in flight: while one lives, no plan goes that was used since the oldest one living began,
/// on any thread, even when the step has more than kMaxConvPlans. So a step finds the plans of its
/// last run, however many they are, unless other shapes came between.
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
