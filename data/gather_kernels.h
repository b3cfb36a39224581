// SPDX-License-Identifier: MIT
// The CPU's loops over gather_math.h, but for the colours: hsv_kernels.h.
#pragma once

#include <ydistill/data/gather_math.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct GatherKernels {
  /// Row y of an output [height, width] in one layer, without the colour change; `grey` where no
  /// piece is. Affine steps rise or fall all the way.
  void (*gather_row)(const GatherLayer& layer, const GatherLayerData& data, int64_t width,
                     int64_t height, int64_t y, uint8_t grey, uint8_t* out);
  /// mix_levels of two rows of bytes, into the first.
  void (*mix_rows)(uint8_t* first, const uint8_t* second, int64_t bytes, uint32_t second_weight);
};
YD_DECLARE_CPU_KERNELS(GatherKernels, gather_kernels);

}  // namespace ydistill
