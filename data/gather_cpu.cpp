// SPDX-License-Identifier: MIT
#include <ydistill/data/gather_kernels.h>

#ifdef __AVX2__
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {
namespace {

struct Range {
  int64_t begin, end;
};

/// One coordinate of the pixels of a row.
struct Line {
  int64_t start;
  const int64_t* steps;
  int64_t pixels;

  int64_t tap(int64_t i) const { return rounded_to_taps(start + steps[i]) >> kTapBits; }
  bool rises() const { return steps[0] <= steps[pixels - 1]; }

  /// The first pixel whose tap is `rises() ? >= : <` the bound. Steps are a straight line up to
  /// rounding, so the pixel is next to where the line crosses the bound.
  int64_t first_beyond(int64_t bound) const {
    const bool rising = rises();
    const auto is_beyond = [&](int64_t i) { return (tap(i) >= bound) == rising; };
    const double whole = double(steps[pixels - 1] - steps[0]);
    const double way = double((bound << kWarpBits) - start - steps[0]);
    const double at = way / whole * double(pixels - 1);
    int64_t i = at > 0 ? (at < double(pixels) ? int64_t(at) : pixels) : 0;
    while (i > 0 && is_beyond(i - 1)) --i;
    while (i < pixels && !is_beyond(i)) ++i;
    return i;
  }
  /// The pixels with low <= tap < high.
  Range within(int64_t low, int64_t high) const {
    if (steps[0] == steps[pixels - 1]) {
      const bool all = tap(0) >= low && tap(0) < high;
      return {0, all ? pixels : 0};
    }
    return rises() ? Range{first_beyond(low), first_beyond(high)}
                   : Range{first_beyond(high), first_beyond(low)};
  }
};

void put(const Rgb& pixel, uint8_t* out) {
  out[0] = pixel.r;
  out[1] = pixel.g;
  out[2] = pixel.b;
}

/// Pixels [begin, end) of a row for which one piece covers all four taps.
void gather_run(const GatherPiece& piece, const Line& xs, const Line& ys, int64_t begin,
                int64_t end, uint8_t* out) {
  for (int64_t i = begin; i < end; ++i) {
    put(blend_in(piece, taps_at(xs.start + xs.steps[i], ys.start + ys.steps[i])), out + 3 * i);
  }
}

/// For each pixel of a block: offset of its pair of neighbours in a blended row, and the weights of
/// the pair: 32 - fx in the lower half, fx in the upper.
struct PairTaps {
  static constexpr int64_t kMost = 128;
  int32_t offset[kMost];
  int32_t weights[kMost];
};

#ifdef __AVX2__
/// Eight pixels at a time, as two halves of four. A half is stored as 16 bytes, of which 12 are
/// valid: the next pixels overwrite the rest.
void blend_eight(const uint16_t* blended, const int32_t* offset, const int32_t* weights,
                 uint8_t* out) {
  const __m256i to_pairs = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 6, 7, 2, 3, 8, 9, 4, 5, 10, 11, -1, -1, -1, -1));
  const __m256i drop_fourth = _mm256_broadcastsi128_si256(
      _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
  const __m256i all_weights = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(weights));
  const auto at = [&](int64_t k) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(blended + offset[k]));
  };
  // Pixel k of either half.
  const auto two = [&](int64_t k, __m256i weight) {
    const __m256i pairs = _mm256_shuffle_epi8(_mm256_set_m128i(at(k + 4), at(k)), to_pairs);
    return _mm256_srli_epi32(_mm256_madd_epi16(pairs, weight), 10);
  };
  const __m256i first = _mm256_packs_epi32(two(0, _mm256_shuffle_epi32(all_weights, 0x00)),
                                           two(1, _mm256_shuffle_epi32(all_weights, 0x55)));
  const __m256i second = _mm256_packs_epi32(two(2, _mm256_shuffle_epi32(all_weights, 0xaa)),
                                            two(3, _mm256_shuffle_epi32(all_weights, 0xff)));
  const __m256i levels = _mm256_shuffle_epi8(_mm256_packus_epi16(first, second), drop_fourth);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm256_castsi256_si128(levels));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 12), _mm256_extracti128_si256(levels, 1));
}
#endif

/// Pixels [begin, end) of [begin, limit), all in blended pairs: a pixel's colours are at
/// `blended + offset`, its right neighbour's 3 further.
void blend_pairs(const uint16_t* blended, const PairTaps& taps, int64_t begin, int64_t end,
                 [[maybe_unused]] int64_t limit, uint8_t* out) {
  int64_t i = begin;
#ifdef __AVX2__
  for (; i + 8 <= end && i + 10 <= limit; i += 8) {
    blend_eight(blended, taps.offset + (i - begin), taps.weights + (i - begin), out + 3 * i);
  }
#endif
  for (; i < end; ++i) {
    const uint16_t* left = blended + taps.offset[i - begin];
    const int32_t to_left = taps.weights[i - begin] & 0xffff;
    const int32_t to_right = taps.weights[i - begin] >> 16;
    for (int c = 0; c < 3; ++c) {
      out[3 * i + c] = uint8_t((left[c] * to_left + left[c + 3] * to_right) >> 10);
    }
  }
}

/// The same if y is constant along the row, as without rotation and shear: the two rows of the
/// picture are blended first, then pairs of the result, which gives the same sum.
void gather_level_run(const GatherPiece& piece, const Line& xs, const Line& ys, int64_t begin,
                      int64_t end, uint8_t* out) {
  constexpr int64_t kMaxSpan = 1024;
  uint16_t blended[3 * kMaxSpan + 2];  // the last two are read with the last blue, but not used
  PairTaps pairs;
  const Taps at = taps_at(0, ys.start + ys.steps[begin]);
  const int64_t limit = end;
  for (; begin < end; begin += PairTaps::kMost) {
    const int64_t stop = begin + PairTaps::kMost < end ? begin + PairTaps::kMost : end;
    const int64_t first = xs.tap(begin), last = xs.tap(stop - 1);
    const int64_t low = first < last ? first : last;
    const int64_t span = (first < last ? last : first) + 2 - low;
    if (span > kMaxSpan) {
      gather_run(piece, xs, ys, begin, stop, out);
      continue;
    }
    const uint8_t* upper = address_in(piece, low, at.y);
    const uint8_t* lower = upper + int64_t(piece.width) * 3;
#ifdef __AVX2__
    // The next rows are too far away for the hardware prefetcher.
    const uint8_t* next = lower + int64_t(piece.width) * 3;
    for (int64_t j = 0; j < 3 * span; j += 64) {
      _mm_prefetch(next + j, _MM_HINT_T0);
      _mm_prefetch(next + int64_t(piece.width) * 3 + j, _MM_HINT_T0);
    }
#endif
    const uint16_t to_lower = uint16_t(at.fy), to_upper = uint16_t(32 - at.fy);
    for (int64_t j = 0; j < 3 * span; ++j) {
      // Each value includes the half that rounds the pairs' sums: 32 times 16 of 1024.
      blended[j] = uint16_t(upper[j] * to_upper + lower[j] * to_lower + 16);
    }
    blended[3 * span] = blended[3 * span + 1] = 0;
    // Positions relative to the first tap fit in 32 bits, so the upper halves of the 64-bit
    // operands do not matter.
    const uint32_t origin = uint32_t(xs.start - (low << kWarpBits));
    for (int64_t i = begin; i < stop; ++i) {
      const int32_t x = rounded_to_taps(int32_t(origin + uint32_t(xs.steps[i])));
      pairs.offset[i - begin] = 3 * (x >> kTapBits);
      pairs.weights[i - begin] = (32 - (x & 31)) | (x & 31) << 16;
    }
    blend_pairs(blended, pairs, begin, stop, limit, out);
  }
}

/// The pixels whose upper left tap is in a box of the canvas.
Range within(const Line& xs, const Line& ys, const Range& across, const Range& down) {
  Range all = ys.within(down.begin, down.end);
  if (all.begin >= all.end) return {0, 0};
  const Range of_x = xs.within(across.begin, across.end);
  if (of_x.begin > all.begin) all.begin = of_x.begin;
  if (of_x.end < all.end) all.end = of_x.end;
  return all;
}

/// The index of the range that contains pixel i, -1 for none; `end` is lowered to where that
/// changes.
int holder(const Range* ranges, int count, int64_t i, int64_t& end) {
  for (int p = 0; p < count; ++p) {
    if (ranges[p].begin >= ranges[p].end || ranges[p].end <= i) continue;
    if (ranges[p].begin <= i) {
      end = ranges[p].end < end ? ranges[p].end : end;
      return p;
    }
    if (ranges[p].begin < end) end = ranges[p].begin;
  }
  return -1;
}

/// A row of an affine layer without a mask. Most pixels are in runs whose four taps one piece
/// covers, or that no piece touches: those need no search.
void gather_affine_row(const GatherLayer& layer, const Line& xs, const Line& ys, uint8_t grey,
                       uint8_t* out) {
  const int64_t pixels = xs.pixels;
  const bool is_level = ys.steps[0] == ys.steps[pixels - 1];
  Range shown[kMaxPieces], touched[kMaxPieces];
  for (int p = 0; p < layer.num_pieces; ++p) {
    const GatherPiece& piece = layer.pieces[p];
    shown[p] = within(xs, ys, {piece.left, piece.right - 1}, {piece.top, piece.bottom - 1});
    touched[p] = within(xs, ys, {piece.left - 1, piece.right}, {piece.top - 1, piece.bottom});
  }
  for (int64_t i = 0; i < pixels;) {
    int64_t end = pixels;
    if (const int p = holder(shown, layer.num_pieces, i, end); p >= 0) {
      (is_level ? gather_level_run : gather_run)(layer.pieces[p], xs, ys, i, end, out);
    } else if (holder(touched, layer.num_pieces, i, end) < 0) {
      for (int64_t j = 3 * i; j < 3 * end; ++j) out[j] = grey;
    } else {
      for (int64_t j = i; j < end; ++j) {
        put(gather_pixel(layer, taps_at(xs.start + xs.steps[j], ys.start + ys.steps[j]), grey),
            out + 3 * j);
      }
    }
    i = end;
  }
}

/// A row of any layer. A separate function, to keep the registers of the one above free.
[[gnu::noinline]] void gather_any_row(const GatherLayer& layer, const GatherLayerData& data,
                                      int64_t width, int64_t height, int64_t y, uint8_t grey,
                                      uint8_t* out) {
  for (int64_t x = 0; x < width; ++x) {
    put(layer_pixel(layer, data, width, height, x, y, grey), out + 3 * x);
  }
}

void gather_row(const GatherLayer& layer, const GatherLayerData& data, int64_t width,
                int64_t height, int64_t y, uint8_t grey, uint8_t* out) {
  if (width <= 0) return;
  if (layer.is_projective == 0 && data.mask == nullptr) {
    const int64_t* of_row = data.steps + 2 * width;
    const Line xs{of_row[y], data.steps, width}, ys{of_row[height + y], data.steps + width, width};
    gather_affine_row(layer, xs, ys, grey, out);
    return;
  }
  gather_any_row(layer, data, width, height, y, grey, out);
}

void mix_rows(uint8_t* first, const uint8_t* second, int64_t bytes, uint32_t second_weight) {
  for (int64_t i = 0; i < bytes; ++i) first[i] = mix_levels(first[i], second[i], second_weight);
}

}  // namespace

const GatherKernels& gather_kernels() {
  static const GatherKernels kernels{gather_row, mix_rows};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
