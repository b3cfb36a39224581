// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the innermost loop of a matrix product. kRows rows of the left
// factor times a panel of kPanel columns of the right one; the sums, a row of the panel and one
// number of the left factor fill a level's registers.
#pragma once

#include <cstdint>
#include <utility>

#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {

#if defined(__AVX512F__)
inline constexpr int kLanes = 16, kRows = 12;
#elif defined(__AVX2__)
inline constexpr int kLanes = 8, kRows = 6;
#elif defined(__aarch64__)
inline constexpr int kLanes = 4, kRows = 10;  // addresses of more rows leave the registers
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
// Of widening and narrowing by __builtin_convertvector GCC 12 makes several instructions.
YD_HOST_DEVICE Bits widen(const HalfBits& half) {
#if defined(__AVX512F__)
  return Bits(_mm512_maskz_cvtepu16_epi32(0xffff, __m256i(half)));
#elif defined(__AVX2__)
  return Bits(_mm256_cvtepu16_epi32(__m128i(half)));
#else
  return __builtin_convertvector(half, Bits);
#endif
}
/// Of numbers below 2^16.
YD_HOST_DEVICE HalfBits narrow(const Bits& bits) {
#if defined(__AVX512F__)
  return HalfBits(_mm512_maskz_cvtepi32_epi16(0xffff, __m512i(bits)));
#elif defined(__AVX2__)
  return HalfBits(_mm_packus_epi32(_mm256_castsi256_si128(__m256i(bits)),
                                   _mm256_extracti128_si256(__m256i(bits), 1)));
#else
  return __builtin_convertvector(bits, HalfBits);
#endif
}

YD_HOST_DEVICE Bits load_bits(const BFloat16* from) {
  HalfBits half;
  __builtin_memcpy(&half, from, sizeof(half));
  return widen(half);
}
/// The same of bfloat16, which is widened.
YD_HOST_DEVICE Vector load(const BFloat16* from) {
  return Vector(load_bits(from) << 16);
}
YD_HOST_DEVICE void store(const Vector& v, float* to) {
  __builtin_memcpy(to, &v, sizeof(v));
}

/// Rounded as BFloat16(float) rounds. A file that is for AVX512_BF16 alone says YD_AVX512_BF16:
/// there numbers below 2^-126 become zero.
YD_HOST_DEVICE void store(const Vector& v, BFloat16* to) {
#if defined(YD_AVX512_BF16)
  const HalfBits half = HalfBits(_mm512_cvtneps_pbh(__m512(v)));
#else
  const Bits bits = Bits(v);
  const Bits up = v == v ? 0x7fffu + ((bits >> 16) & 1u) : 0x400000u & ~bits;
  const HalfBits half = narrow((bits + up) >> 16);
#endif
  __builtin_memcpy(static_cast<void*>(to), &half, sizeof(half));
}

using Bytes [[gnu::vector_size(kLanes)]] = uint8_t;

YD_HOST_DEVICE Vector load(const uint8_t* from) {
  Bytes bytes;
  __builtin_memcpy(&bytes, from, sizeof(bytes));
#if defined(__AVX512F__)
  return Vector(
      _mm512_maskz_cvtepi32_ps(0xffff, _mm512_maskz_cvtepu8_epi32(0xffff, __m128i(bytes))));
#elif defined(__AVX2__)
  const __m128i low = _mm_cvtsi64_si128(int64_t(bytes));
  return Vector(_mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(low)));
#else
  return __builtin_convertvector(bytes, Vector);
#endif
}
/// Rounded to nearest, ties to even, and limited to 0..255; a NaN becomes 0.
YD_HOST_DEVICE void store(const Vector& v, uint8_t* to) {
#if defined(__AVX512F__)
  constexpr __mmask16 kAll = 0xffff;
  const __m512 positive = _mm512_maskz_max_ps(kAll, __m512(v), __m512(Vector{}));
  const Bytes bytes =
      Bytes(_mm512_maskz_cvtusepi32_epi8(kAll, _mm512_maskz_cvtps_epu32(kAll, positive)));
#elif defined(__AVX2__)
  // A NaN passes the minimum and becomes the least integer.
  const __m256i integers = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_set1_ps(255), __m256(v)));
  const __m128i halves =
      _mm_packs_epi32(_mm256_castsi256_si128(integers), _mm256_extracti128_si256(integers, 1));
  const int64_t bytes = _mm_cvtsi128_si64(_mm_packus_epi16(halves, halves));
#else
  const Vector kMost = Vector{} + 255;
  const Vector positive = v > 0 ? v : Vector{};
  const Vector limited = positive < kMost ? positive : kMost;
  const Bytes bytes = __builtin_convertvector(Bits(limited + kRoundShift) & 0xffu, Bytes);
#endif
  __builtin_memcpy(to, &bytes, sizeof(bytes));
}

/// Numbers of a and b from `kFirst` on in turns.
template <int kFirst, int... kLane>
YD_HOST_DEVICE Vector in_turns(const Vector& a, const Vector& b,
                               std::integer_sequence<int, kLane...>) {
  return __builtin_shufflevector(a, b, (kFirst + kLane / 2 + kLane % 2 * kLanes)...);
}

/// Transposes a square of vectors.
YD_HOST_DEVICE void transpose(Vector (&rows)[kLanes]) {
  constexpr std::make_integer_sequence<int, kLanes> kAll{};
  for (int stride = 1; stride < kLanes; stride *= 2) {
    Vector mixed[kLanes];
    for (int i = 0; i < kLanes / 2; ++i) {
      mixed[2 * i] = in_turns<0>(rows[i], rows[i + kLanes / 2], kAll);
      mixed[2 * i + 1] = in_turns<kLanes / 2>(rows[i], rows[i + kLanes / 2], kAll);
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
/// Copies n numbers as floats, one vector at a time; the last vector overlaps the one before.
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

/// sums[i][.] += sum_{begin <= k < end} rows[i][k] panel[k - begin][.] for the first kCount rows
/// and kColumns vectors. fetch(k) is called beside each k, to bring into the caches what comes
/// next.
template <int kCount, int kColumns, class Fetch = FetchNothing>
YD_HOST_DEVICE void add_products(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Vector (&sums)[kCount][kColumns],
                                 const Fetch& fetch = {}) {
  const float* row[kCount];
  for (int i = 0; i < kCount; ++i) row[i] = rows[i];
  for (int64_t k = begin; k < end; ++k, panel += kPanel) {
    fetch(k);
    Vector w[kColumns];
    for (int v = 0; v < kColumns; ++v) w[v] = load(panel + v * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      const float x = row[i][k];
      for (int v = 0; v < kColumns; ++v) sums[i][v] += w[v] * x;
    }
  }
}

}  // namespace ydistill::YD_CPU_LEVEL
