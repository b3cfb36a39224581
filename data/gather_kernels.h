// SPDX-License-Identifier: MIT
// CPU loops over the formulas of gather_math.h, except HSV (hsv_kernels.h).
#pragma once

#include <ydistill/data/gather_math.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct GatherKernels {
  /// Row y of an output [height, width] from one layer, without the colour change; `grey` where
  /// there is no piece. Affine steps are monotonic along the row.
  void (*gather_row)(const GatherLayer& layer, const GatherLayerData& data, int64_t width,
                     int64_t height, int64_t y, uint8_t grey, uint8_t* out);
  /// mix_levels of two rows of bytes; the result replaces the first.
  void (*mix_rows)(uint8_t* first, const uint8_t* second, int64_t bytes, uint32_t second_weight);
};
YD_DECLARE_CPU_KERNELS(GatherKernels, gather_kernels);

}  // namespace ydistill
