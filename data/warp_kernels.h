// SPDX-License-Identifier: MIT
// Affine sampling and HSV of RGB bytes: the formulas, and the loops that run them.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// Positions are counted in 1/1024 pixel and rounded to 1/32 (OpenCV's AB_BITS and INTER_BITS).
inline constexpr int kWarpBits = 10;
inline constexpr int kTapBits = 5;

/// Bilinear blend of four levels; fx, fy in 1/32 of the way to the right and down.
YD_HOST_DEVICE int32_t blend_taps(int32_t p00, int32_t p01, int32_t p10, int32_t p11, int32_t fx,
                                  int32_t fy) {
  const int32_t upper = p00 * (32 - fx) + p01 * fx;
  const int32_t lower = p10 * (32 - fx) + p11 * fx;
  return (upper * (32 - fy) + lower * fy + 512) >> 10;
}

/// One pixel as OpenCV's 8-bit HSV: hue 0..179 (2 degrees each), saturation and value 0..255.
struct Hsv {
  int32_t h, s, v;
};

/// The two divisions come as tables in 1/4096: saturation_of[v] = 255 / v, hue_of[d] = 30 / d, both
/// 0 at 0.
///   s = 255 d / v, d = v - min;  h = 30 / d * (g - b | 2 d + b - r | 4 d + r - g)
YD_HOST_DEVICE Hsv rgb_to_hsv(int32_t r, int32_t g, int32_t b, const int32_t* saturation_of,
                              const int32_t* hue_of) {
  const int32_t max_rg = r > g ? r : g, min_rg = r < g ? r : g;
  const int32_t v = max_rg > b ? max_rg : b;
  const int32_t d = v - (min_rg < b ? min_rg : b);
  const int32_t s = (d * saturation_of[v] + 2048) >> 12;
  const int32_t sixth = v == r ? g - b : (v == g ? b - r + 2 * d : r - g + 4 * d);
  const int32_t h = (sixth * hue_of[d] + 2048) >> 12;
  return {h < 0 ? h + 180 : h, s, v};
}

/// One channel back: n = 5 for red, 3 for green, 1 for blue.
///   level = v - v s max(0, min(k, 4 - k, 1)), k = (n + h / 30) mod 6
/// Truncated, as OpenCV's vector code does it: half a level darker than rounding, on average.
YD_HOST_DEVICE int32_t hsv_channel(float n, float h, float s, float v) {
  float k = n + h * (1.0f / 30.0f);
  k = k >= 6.0f ? k - 6.0f : k;
  float part = k < 4.0f - k ? k : 4.0f - k;
  part = part < 1.0f ? part : 1.0f;
  part = part > 0.0f ? part : 0.0f;
  return int32_t(v - v * (s * (1.0f / 255.0f)) * part);
}

/// Look-up tables of one HSV shift.
struct HsvTables {
  int32_t saturation_of[256];
  int32_t hue_of[256];
  uint8_t hue[256];
  uint8_t saturation[256];
  uint8_t value[256];
};

struct WarpKernels {
  /// One output row: pixel i samples `source` [height, width, 3] at (x0 + x_steps[i],
  /// y0 + y_steps[i]) in 1/1024 pixel, `grey` outside.
  void (*warp_row)(const uint8_t* source, int64_t width, int64_t height, int64_t x0, int64_t y0,
                   const int64_t* x_steps, const int64_t* y_steps, int64_t pixels, uint8_t grey,
                   uint8_t* out);
  void (*shift_hsv)(uint8_t* rgb, int64_t pixels, const HsvTables& tables);
};
YD_DECLARE_CPU_KERNELS(WarpKernels, warp_kernels);

}  // namespace ydistill
