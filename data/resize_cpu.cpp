// SPDX-License-Identifier: MIT
#include <ydistill/data/resize_kernels.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {
namespace {

#ifdef __AVX2__
__m128i load_16(const void* from) {
  return _mm_loadu_si128(static_cast<const __m128i*>(from));
}

__m256i load_two(const void* low, const void* high) {
  return _mm256_set_m128i(load_16(high), load_16(low));
}

/// Either half's first 12 bytes, 12 apart; each store writes four more.
void store_twelves(__m256i halves, void* out) {
  _mm_storeu_si128(static_cast<__m128i*>(out), _mm256_castsi256_si128(halves));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(static_cast<char*>(out) + 12),
                   _mm256_extracti128_si256(halves, 1));
}

/// Pixels 0 and 2 of `taps` (lower and upper half): four numbers each, the last 0. Reads 8 bytes
/// from a tap's first pixel on.
__m256i bilinear_two(const uint8_t* row, const BilinearTap* taps) {
  const __m256i neighbours = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
  const __m256i weights = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(8, 9, 12, 13, 8, 9, 12, 13, 8, 9, 12, 13, 8, 9, 12, 13));
  const auto at = [&](const BilinearTap& tap) {
    return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + 3 * int64_t(tap.first)));
  };
  const __m256i pairs = _mm256_shuffle_epi8(_mm256_set_m128i(at(taps[2]), at(taps[0])), neighbours);
  const __m256i sums =
      _mm256_madd_epi16(pairs, _mm256_shuffle_epi8(load_two(taps, taps + 2), weights));
  return _mm256_srli_epi32(sums, 4);
}

/// Target pixels 0, 1 (lower half) and 4, 5 of a halved row: six sums of four levels each.
__m256i halve_four(const uint8_t* upper, const uint8_t* lower) {
  const __m256i neighbours = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11, -1, -1, -1, -1));
  const __m256i ones = _mm256_set1_epi8(1);
  const auto sums = [&](const uint8_t* row) {
    return _mm256_maddubs_epi16(_mm256_shuffle_epi8(load_two(row, row + 24), neighbours), ones);
  };
  return _mm256_srli_epi16(
      _mm256_add_epi16(_mm256_add_epi16(sums(upper), sums(lower)), _mm256_set1_epi16(2)), 2);
}
#endif

void bilinear_row(const uint8_t* row, const BilinearTap* taps, int64_t pixels, int16_t* out) {
  int64_t x = 0;
#ifdef __AVX2__
  // Four pixels at a time, as long as a fifth follows and each can read 8 bytes of the row.
  int64_t inner = pixels;
  while (inner > 0 && taps[inner - 1].first > taps[pixels - 1].second - 2) --inner;
  const __m256i to_six = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1));
  for (; x + 4 <= inner && x + 5 <= pixels; x += 4) {
    const __m256i four =
        _mm256_packs_epi32(bilinear_two(row, taps + x), bilinear_two(row, taps + x + 1));
    store_twelves(_mm256_shuffle_epi8(four, to_six), out + 3 * x);
  }
#endif
  for (; x < pixels; ++x) {
    const BilinearTap& tap = taps[x];
    const uint8_t* a = row + 3 * int64_t(tap.first);
    const uint8_t* b = row + 3 * int64_t(tap.second);
    for (int c = 0; c < 3; ++c) {
      out[3 * x + c] = int16_t((a[c] * tap.weights[0] + b[c] * tap.weights[1]) >> 4);
    }
  }
}

// The arithmetic of OpenCV's 8-bit path: rows drop 4 bits, which leaves 15; products drop 16; the
// last 2 are rounded.
void blend_rows(const int16_t* first, const int16_t* second, int16_t first_weight,
                int16_t second_weight, int64_t values, uint8_t* out) {
  for (int64_t i = 0; i < values; ++i) {
    const int16_t a = int16_t((first[i] * first_weight) >> 16);
    const int16_t b = int16_t((second[i] * second_weight) >> 16);
    out[i] = uint8_t(int16_t(a + b + 2) >> 2);
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
  int64_t x = 0;
#ifdef __AVX2__
  // Eight pixels at a time, as long as two more follow, because reads and writes go beyond them.
  const __m256i to_twelve = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 13, -1, -1, -1, -1));
  for (; x + 10 <= pixels; x += 8) {
    const __m256i eight = _mm256_packus_epi16(halve_four(upper + 6 * x, lower + 6 * x),
                                              halve_four(upper + 6 * x + 12, lower + 6 * x + 12));
    store_twelves(_mm256_shuffle_epi8(eight, to_twelve), out + 3 * x);
  }
#endif
  for (; x < pixels; ++x) {
    const uint8_t *u = upper + 6 * x, *l = lower + 6 * x;
    for (int c = 0; c < 3; ++c) {
      out[3 * x + c] = uint8_t((u[c] + u[c + 3] + l[c] + l[c + 3] + 2) >> 2);
    }
  }
}

}  // namespace

const ResizeKernels& resize_kernels() {
  static const ResizeKernels kernels{bilinear_row, blend_rows, add_row, round_row, halve_row};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
