// SPDX-License-Identifier: MIT
// CPU loop over the HSV formulas of gather_math.h.
#pragma once

#include <ydistill/data/gather_math.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct HsvKernels {
  /// shift_pixel for each of `pixels` pixels, in place.
  void (*shift_hsv)(uint8_t* rgb, int64_t pixels, const HsvTables& tables);
};
YD_DECLARE_CPU_KERNELS(HsvKernels, hsv_kernels);

}  // namespace ydistill
