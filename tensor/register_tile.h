// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the innermost loop of a matrix product. kRows rows of the left
// factor times a panel of kPanel columns of the right one; the sums, a row of the panel and one
// number of the left factor fill a level's registers.
#pragma once

#include <cstdint>

#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

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
using Bits [[gnu::vector_size(kLanes * sizeof(float))]] = uint32_t;
using HalfBits [[gnu::vector_size(kLanes * sizeof(uint16_t))]] = uint16_t;

YD_HOST_DEVICE Vector load(const float* from) {
  Vector v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}
YD_HOST_DEVICE Bits load_bits(const BFloat16* from) {
  HalfBits half;
  __builtin_memcpy(&half, from, sizeof(half));
#if defined(__AVX512F__)
  return Bits(_mm512_maskz_cvtepu16_epi32(0xffff, __m256i(half)));  // GCC 12 does it in halves
#else
  return __builtin_convertvector(half, Bits);
#endif
}
/// The same of bfloat16, which is widened.
YD_HOST_DEVICE Vector load(const BFloat16* from) {
  return Vector(load_bits(from) << 16);
}
YD_HOST_DEVICE void store(const Vector& v, float* to) {
  __builtin_memcpy(to, &v, sizeof(v));
}

/// Rounded as BFloat16(float) rounds.
YD_HOST_DEVICE void store(const Vector& v, BFloat16* to) {
  const Bits bits = Bits(v);
  const Bits is_nan = Bits(v != v);
  const Bits up = (is_nan & 0x400000u & ~bits) | (~is_nan & (0x7fffu + ((bits >> 16) & 1u)));
  const HalfBits half = __builtin_convertvector((bits + up) >> 16, HalfBits);
  __builtin_memcpy(static_cast<void*>(to), &half, sizeof(half));
}

/// Rows become columns.
YD_HOST_DEVICE void transpose(Vector (&rows)[kLanes]) {
  using Order [[gnu::vector_size(sizeof(Vector))]] = int32_t;
  Order low, high;
  for (int i = 0; i < kLanes; ++i) {
    low[i] = i / 2 + i % 2 * kLanes;
    high[i] = low[i] + kLanes / 2;
  }
  for (int stride = 1; stride < kLanes; stride *= 2) {
    Vector mixed[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      mixed[2 * i] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], low);
      mixed[2 * i + 1] = __builtin_shuffle(rows[i], rows[i + kLanes / 2], high);
    }
    for (int i = 0; i < kLanes; ++i) rows[i] = mixed[i];
  }
}

YD_HOST_DEVICE int64_t least(int64_t a, int64_t b) {
  return a < b ? a : b;
}
YD_HOST_DEVICE int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : least(value, high);
}
YD_HOST_DEVICE int64_t ceil_div(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

YD_HOST_DEVICE void fill_zero(float* to, int64_t n) {
  for (int64_t k = 0; k < n; ++k) to[k] = 0;
}
/// n numbers, a vector at a time; the last vector overlaps the one before.
template <class T>
YD_HOST_DEVICE void copy_run(const T* from, int64_t n, float* to) {
  if (n < kLanes) {
    for (int64_t k = 0; k < n; ++k) to[k] = float(from[k]);
    return;
  }
  for (int64_t k = 0; k + kLanes < n; k += kLanes) store(load(from + k), to + k);
  store(load(from + n - kLanes), to + n - kLanes);
}

struct FetchNothing {
  YD_HOST_DEVICE void operator()(int64_t) const {}
};

/// sums[i][.] += sum_{begin <= k < end} rows[i][k] panel[k - begin][.] for the first kCount rows.
/// fetch(k) is called beside each k, to bring into the caches what comes next.
template <int kCount, class Fetch = FetchNothing>
YD_HOST_DEVICE void add_products(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Vector (&sums)[kCount][kVectors],
                                 const Fetch& fetch = {}) {
  const float* row[kCount];
  for (int i = 0; i < kCount; ++i) row[i] = rows[i];
  for (int64_t k = begin; k < end; ++k, panel += kPanel) {
    fetch(k);
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
template <bool kSilu, bool kResidual>
YD_HOST_DEVICE void finish_channels(const float* sums, const BFloat16* residual, int64_t channels,
                                    BFloat16* y) {
  int64_t c = 0;
  for (; c + kLanes <= channels; c += kLanes) {
    float values[kLanes];
#pragma GCC ivdep
    for (int i = 0; i < kLanes; ++i) {
      values[i] = kSilu ? silu_bf16(sums[c + i]) : sums[c + i];
    }
    Vector value = load(values);
    if constexpr (kResidual) value += load(residual + c);
    store(value, y + c);
  }
  for (; c < channels; ++c) {
    float value = kSilu ? silu_bf16(sums[c]) : sums[c];
    if constexpr (kResidual) value += float(residual[c]);
    y[c] = BFloat16(value);
  }
}

}  // namespace ydistill::YD_CPU_LEVEL
