// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the innermost loop of a matrix product. kRows rows of the left
// factor times a panel of kPanel columns of the right one; the sums, a row of the panel and one
// number of the left factor fill a level's registers.
#pragma once

#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

namespace ydistill::YD_CPU_LEVEL {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16, kRows = 12;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8, kRows = 6;
#else
inline constexpr int kLanes = 4, kRows = 6;
#endif
inline constexpr int kVectors = 2, kPanel = kVectors * kLanes;
using Vector [[gnu::vector_size(kLanes * sizeof(float))]] = float;

YD_HOST_DEVICE Vector load(const float* from) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}
YD_HOST_DEVICE void store(const Vector& v, float* to) {
  __builtin_memcpy(to, &v, sizeof(v));
}

/// sums[i][.] += sum_{begin <= k < end} rows[i][k] panel[k - begin][.] for the first kCount rows.
template <int kCount>
YD_HOST_DEVICE void add_products(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Vector (&sums)[kCount][kVectors]) {
  const float* row[kCount];
  for (int i = 0; i < kCount; ++i) row[i] = rows[i];
  for (int64_t k = begin; k < end; ++k, panel += kPanel) {
    Vector w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = load(panel + v * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      const float x = row[i][k];
      for (int v = 0; v < kVectors; ++v) sums[i][v] += w[v] * x;
    }
  }
}

/// What comes after a convolution: y = silu(sums) + residual, as the flags say.
template <bool kSilu, bool kResidual>
YD_HOST_DEVICE void finish_channels(const float* sums, const float* residual, int64_t channels,
                                    float* y) {
#pragma GCC ivdep
  for (int64_t c = 0; c < channels; ++c) {
    float value = sums[c];
    if constexpr (kSilu) value = silu(value);
    if constexpr (kResidual) value += residual[c];
    y[c] = value;
  }
}

}  // namespace ydistill::YD_CPU_LEVEL
