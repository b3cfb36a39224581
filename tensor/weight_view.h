// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): convolution weights as a kernel reads them, turned round or not.
#pragma once

#include <cstdint>

namespace ydistill {

/// The weight of output o, row p, column q and input c lies at base[o out + p row + q column + c
/// in].
struct WeightView {
  const float* base;
  int64_t out, row, column, in;
};

}  // namespace ydistill
