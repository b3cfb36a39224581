// SPDX-License-Identifier: MIT
// The CPU's loops over gather_math.h.
#pragma once

#include <ydistill/data/gather_math.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct GatherKernels {
  /// One output row without its colour change: pixel i is the canvas at (x0 + x_steps[i],
  /// y0 + y_steps[i]) in 1/1024 pixel, `grey` where no piece is. Steps rise or fall all the way.
  void (*gather_row)(const GatherSample& sample, int64_t x0, int64_t y0, const int64_t* x_steps,
                     const int64_t* y_steps, int64_t pixels, uint8_t grey, uint8_t* out);
  void (*shift_hsv)(uint8_t* rgb, int64_t pixels, const HsvTables& tables);
};
YD_DECLARE_CPU_KERNELS(GatherKernels, gather_kernels);

}  // namespace ydistill
