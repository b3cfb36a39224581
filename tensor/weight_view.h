// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): a view of convolution weights as a kernel reads them, optionally
// with the taps reversed and inputs and outputs swapped (gradient of the input).
#pragma once

#include <cstdint>

namespace ydistill {

/// The weight of output o, row p, column q and input c is
/// base[o out + p row + q column + c in].
struct WeightView {
  const float* base;
  int64_t out, row, column, in;
};

}  // namespace ydistill
