// SPDX-License-Identifier: MIT
#include <ydistill/data/warp_kernels.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

void warp_row(const uint8_t* source, int64_t width, int64_t height, int64_t x0, int64_t y0,
              const int64_t* x_steps, const int64_t* y_steps, int64_t pixels, uint8_t grey,
              uint8_t* out) {
  constexpr int kDropped = kWarpBits - kTapBits;
  constexpr int64_t kHalf = int64_t(1) << (kDropped - 1), kFraction = (1 << kTapBits) - 1;
  for (int64_t i = 0; i < pixels; ++i, out += 3) {
    const int64_t x_32 = (x0 + x_steps[i] + kHalf) >> kDropped;
    const int64_t y_32 = (y0 + y_steps[i] + kHalf) >> kDropped;
    const int64_t x = x_32 >> kTapBits, y = y_32 >> kTapBits;
    const int32_t fx = int32_t(x_32 & kFraction), fy = int32_t(y_32 & kFraction);
    const bool inside = x >= 0 && y >= 0 && x + 1 < width && y + 1 < height;
    if (inside) {
      const uint8_t* upper = source + (y * width + x) * 3;
      const uint8_t* lower = upper + width * 3;
      for (int c = 0; c < 3; ++c) {
        out[c] = uint8_t(blend_taps(upper[c], upper[c + 3], lower[c], lower[c + 3], fx, fy));
      }
    } else if (x < -1 || y < -1 || x >= width || y >= height) {
      out[0] = out[1] = out[2] = grey;
    } else {
      for (int c = 0; c < 3; ++c) {
        const auto level = [&](int64_t at_x, int64_t at_y) -> int32_t {
          if (at_x < 0 || at_y < 0 || at_x >= width || at_y >= height) return grey;
          return source[(at_y * width + at_x) * 3 + c];
        };
        out[c] = uint8_t(
            blend_taps(level(x, y), level(x + 1, y), level(x, y + 1), level(x + 1, y + 1), fx, fy));
      }
    }
  }
}

// In blocks, one plane a channel, so that the arithmetic runs over plain arrays.
void shift_hsv(uint8_t* rgb, int64_t pixels, const HsvTables& tables) {
  constexpr int64_t kBlock = 256;
  uint8_t hue[kBlock], saturation[kBlock], value[kBlock];
  for (int64_t begin = 0; begin < pixels; begin += kBlock) {
    const int64_t count = pixels - begin < kBlock ? pixels - begin : kBlock;
    uint8_t* block = rgb + 3 * begin;
    for (int64_t i = 0; i < count; ++i) {
      const Hsv hsv = rgb_to_hsv(block[3 * i], block[3 * i + 1], block[3 * i + 2],
                                 tables.saturation_of, tables.hue_of);
      hue[i] = uint8_t(hsv.h);
      saturation[i] = uint8_t(hsv.s);
      value[i] = uint8_t(hsv.v);
    }
    for (int64_t i = 0; i < count; ++i) {
      hue[i] = tables.hue[hue[i]];
      saturation[i] = tables.saturation[saturation[i]];
      value[i] = tables.value[value[i]];
    }
    for (int64_t i = 0; i < count; ++i) {
      const float h = hue[i], s = saturation[i], v = value[i];
      block[3 * i] = uint8_t(hsv_channel(5, h, s, v));
      block[3 * i + 1] = uint8_t(hsv_channel(3, h, s, v));
      block[3 * i + 2] = uint8_t(hsv_channel(1, h, s, v));
    }
  }
}

}  // namespace

const WarpKernels& warp_kernels() {
  static const WarpKernels kernels{warp_row, shift_hsv};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
