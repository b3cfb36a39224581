// SPDX-License-Identifier: MIT
// Inner loops of resize.cpp. Rows hold interleaved RGB; `values` = 3 * pixels.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// The source pixels of a target pixel in bilinear resizing, on one axis. Taps rise along the axis.
struct BilinearTap {
  int32_t first, second;  ///< source pixels: neighbours, or equal at the border
  int32_t weights[2];     ///< in 1/2048, sum 2048
};

struct ResizeKernels {
  /// out[3 x + c] = first * weight 0 + second * weight 1, in 1/128 grey levels, truncated.
  void (*bilinear_row)(const uint8_t* row, const BilinearTap* taps, int64_t pixels, int16_t* out);
  /// Blends two such rows by weights in 1/2048 into grey levels.
  void (*blend_rows)(const int16_t* first, const int16_t* second, int16_t first_weight,
                     int16_t second_weight, int64_t values, uint8_t* out);
  /// sum += weight * row
  void (*add_row)(const uint8_t* row, float weight, int64_t values, float* sum);
  /// Rounds to the nearest level.
  void (*round_row)(const float* sum, int64_t values, uint8_t* out);
  /// Averages 2x2 pixels; `pixels`: of the target row.
  void (*halve_row)(const uint8_t* upper, const uint8_t* lower, int64_t pixels, uint8_t* out);
};
YD_DECLARE_CPU_KERNELS(ResizeKernels, resize_kernels);

}  // namespace ydistill
