// SPDX-License-Identifier: MIT
#include <ydistill/data/resize_kernels.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

void bilinear_row(const uint8_t* row, const BilinearTap* taps, int64_t pixels, int32_t* out) {
  for (int64_t x = 0; x < pixels; ++x, out += 3) {
    const BilinearTap tap = taps[x];
    const uint8_t* a = row + 3 * int64_t(tap.first);
    const uint8_t* b = row + 3 * int64_t(tap.second);
    out[0] = a[0] * tap.weights[0] + b[0] * tap.weights[1];
    out[1] = a[1] * tap.weights[0] + b[1] * tap.weights[1];
    out[2] = a[2] * tap.weights[0] + b[2] * tap.weights[1];
  }
}

// The arithmetic of OpenCV's 8-bit path: rows lose 4 bits, products 16, and 2 remain to round.
// 255 * 2048 / 16 * 2048 < 2^27, so nothing overflows.
void blend_rows(const int32_t* first, const int32_t* second, int32_t first_weight,
                int32_t second_weight, int64_t values, uint8_t* out) {
  for (int64_t i = 0; i < values; ++i) {
    const int32_t a = ((first[i] >> 4) * first_weight) >> 16;
    const int32_t b = ((second[i] >> 4) * second_weight) >> 16;
    out[i] = uint8_t((a + b + 2) >> 2);
  }
}

void add_row(const uint8_t* row, float weight, int64_t values, float* sum) {
  for (int64_t i = 0; i < values; ++i) sum[i] += weight * float(row[i]);
}

void round_row(const float* sum, int64_t values, uint8_t* out) {
  for (int64_t i = 0; i < values; ++i) {
    const float level = sum[i] + 0.5f;
    out[i] = uint8_t(int32_t(level > 255.0f ? 255.0f : level));
  }
}

void halve_row(const uint8_t* upper, const uint8_t* lower, int64_t pixels, uint8_t* out) {
  for (int64_t x = 0; x < pixels; ++x, upper += 6, lower += 6, out += 3) {
    for (int c = 0; c < 3; ++c) {
      out[c] = uint8_t((upper[c] + upper[c + 3] + lower[c] + lower[c + 3] + 2) >> 2);
    }
  }
}

}  // namespace

const ResizeKernels& resize_kernels() {
  static const ResizeKernels kernels{bilinear_row, blend_rows, add_row, round_row, halve_row};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
