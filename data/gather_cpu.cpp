// SPDX-License-Identifier: MIT
#include <ydistill/data/gather_kernels.h>

#ifdef __SSSE3__
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

  /// The first pixel whose tap is `rises() ? >= : <` the bound.
  int64_t first_beyond(int64_t bound) const {
    int64_t low = 0, high = pixels;
    const bool rising = rises();
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if ((tap(middle) >= bound) == rising) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
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

/// Pixels [begin, end) of a row, all four taps of each in one piece.
void gather_run(const GatherPiece& piece, const Line& xs, const Line& ys, int64_t begin,
                int64_t end, uint8_t* out) {
  for (int64_t i = begin; i < end; ++i) {
    put(blend_in(piece, taps_at(xs.start + xs.steps[i], ys.start + ys.steps[i])), out + 3 * i);
  }
}

/// Where the pixels of a block take their pair of neighbours in a blended row, and how far the
/// position lies beyond the left one: 32 - fx in the lower half, fx in the upper.
struct PairTaps {
  static constexpr int64_t kMost = 128;
  int32_t offset[kMost];
  int32_t weights[kMost];
};

/// Pixels [begin, end) of [begin, limit), all in blended pairs: the colours of a pixel and of its
/// right neighbour lie 3 apart from `blended + offset`.
void blend_pairs(const uint16_t* blended, const PairTaps& taps, int64_t begin, int64_t end,
                 [[maybe_unused]] int64_t limit, uint8_t* out) {
  int64_t i = begin;
#ifdef __SSSE3__
  // Four pixels at once. They are stored as 16 bytes, of which 12 count and the others are what the
  // next pixels of the run overwrite.
  const __m128i half = _mm_set1_epi32(512);
  const __m128i drop_fourth = _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1);
  const auto pixel = [&](int64_t k) {
    const uint16_t* left = blended + taps.offset[k];
    const __m128i pairs =
        _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(left)),
                           _mm_loadl_epi64(reinterpret_cast<const __m128i*>(left + 3)));
    const __m128i sum = _mm_madd_epi16(pairs, _mm_set1_epi32(taps.weights[k]));
    return _mm_srli_epi32(_mm_add_epi32(sum, half), 10);
  };
  for (; i + 4 <= end && i + 6 <= limit; i += 4) {
    const int64_t k = i - begin;
    const __m128i first = _mm_packs_epi32(pixel(k), pixel(k + 1));
    const __m128i second = _mm_packs_epi32(pixel(k + 2), pixel(k + 3));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 3 * i),
                     _mm_shuffle_epi8(_mm_packus_epi16(first, second), drop_fourth));
  }
#endif
  for (; i < end; ++i) {
    const uint16_t* left = blended + taps.offset[i - begin];
    const int32_t to_left = taps.weights[i - begin] & 0xffff;
    const int32_t to_right = taps.weights[i - begin] >> 16;
    for (int c = 0; c < 3; ++c) {
      out[3 * i + c] = uint8_t((left[c] * to_left + left[c + 3] * to_right + 512) >> 10);
    }
  }
}

/// The same where y is that of pixel `begin` throughout, as it is without rotation and shear: the
/// two rows of the picture are blended first, in one go, then pairs of that: the same sum.
void gather_level_run(const GatherPiece& piece, const Line& xs, const Line& ys, int64_t begin,
                      int64_t end, uint8_t* out) {
  constexpr int64_t kMaxSpan = 1024;
  uint16_t blended[3 * kMaxSpan + 1];  // the last is read beside the last blue, and left aside
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
#ifdef __SSSE3__
    // The rows that come next begin too far away for the machine to foresee them.
    const uint8_t* next = lower + int64_t(piece.width) * 3;
    for (int64_t j = 0; j < 3 * span; j += 64) {
      _mm_prefetch(next + j, _MM_HINT_T0);
      _mm_prefetch(next + int64_t(piece.width) * 3 + j, _MM_HINT_T0);
    }
#endif
    const uint16_t to_lower = uint16_t(at.fy), to_upper = uint16_t(32 - at.fy);
    for (int64_t j = 0; j < 3 * span; ++j) {
      blended[j] = uint16_t(upper[j] * to_upper + lower[j] * to_lower);
    }
    blended[3 * span] = 0;
    // Positions relative to the first tap are small enough for 32 bits.
    const int64_t origin = xs.start - (low << kWarpBits);
    for (int64_t i = begin; i < stop; ++i) {
      const int32_t x = int32_t(rounded_to_taps(origin + xs.steps[i]));
      pairs.offset[i - begin] = 3 * (x >> kTapBits);
      pairs.weights[i - begin] = (32 - (x & 31)) | (x & 31) << 16;
    }
    blend_pairs(blended, pairs, begin, stop, limit, out);
  }
}

/// A row of a layer that is affine and has no mask. Most pixels lie in runs whose four taps one
/// piece shows: those need no look-up.
void gather_affine_row(const GatherLayer& layer, const Line& xs, const Line& ys, uint8_t grey,
                       uint8_t* out) {
  const int64_t pixels = xs.pixels;
  const bool is_level = ys.steps[0] == ys.steps[pixels - 1];
  Range runs[kMaxPieces];
  for (int p = 0; p < layer.num_pieces; ++p) {
    const GatherPiece& piece = layer.pieces[p];
    runs[p] = ys.within(piece.top, piece.bottom - 1);
    if (runs[p].begin >= runs[p].end) continue;
    const Range across = xs.within(piece.left, piece.right - 1);
    if (across.begin > runs[p].begin) runs[p].begin = across.begin;
    if (across.end < runs[p].end) runs[p].end = across.end;
  }
  for (int64_t i = 0; i < pixels;) {
    const GatherPiece* piece = nullptr;
    int64_t end = pixels;
    for (int p = 0; p < layer.num_pieces; ++p) {
      if (runs[p].begin >= runs[p].end || runs[p].end <= i) continue;
      if (runs[p].begin <= i) {
        piece = &layer.pieces[p];
        end = runs[p].end;
        break;
      }
      if (runs[p].begin < end) end = runs[p].begin;
    }
    if (piece != nullptr) {
      (is_level ? gather_level_run : gather_run)(*piece, xs, ys, i, end, out);
      i = end;
    } else {
      for (; i < end; ++i) {
        put(gather_pixel(layer, taps_at(xs.start + xs.steps[i], ys.start + ys.steps[i]), grey),
            out + 3 * i);
      }
    }
  }
}

/// A row of any layer. Kept apart, for the registers of the row above.
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

#ifdef __AVX512BW__
/// 64 look-ups at once. The level avx512 does not promise this extension, so it is asked for.
__attribute__((target("avx512vbmi"))) void look_up_vbmi(const uint8_t* table, uint8_t* levels,
                                                        int64_t count) {
  const auto quarter = [table](int i) { return _mm512_loadu_si512(table + 64 * i); };
  const __m512i t0 = quarter(0), t1 = quarter(1), t2 = quarter(2), t3 = quarter(3);
  for (int64_t i = 0; i < count; i += 64) {
    const __mmask64 there = count - i >= 64 ? ~__mmask64(0) : (__mmask64(1) << (count - i)) - 1;
    const __m512i index = _mm512_maskz_loadu_epi8(there, levels + i);
    const __m512i low = _mm512_permutex2var_epi8(t0, index, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, index, t3);
    _mm512_mask_storeu_epi8(levels + i, there,
                            _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high));
  }
}
#endif

void look_up(const uint8_t* table, uint8_t* levels, int64_t count) {
#ifdef __AVX512BW__
  static const bool has_vbmi = __builtin_cpu_supports("avx512vbmi") != 0;
  if (has_vbmi) {
    look_up_vbmi(table, levels, count);
    return;
  }
#endif
  for (int64_t i = 0; i < count; ++i) levels[i] = table[levels[i]];
}

// In blocks, one plane a channel, so that the arithmetic runs over plain arrays.
void shift_hsv(uint8_t* rgb, int64_t pixels, const HsvTables& tables) {
  constexpr int64_t kBlock = 256;
  uint8_t hue[kBlock], saturation[kBlock], value[kBlock];
  for (int64_t begin = 0; begin < pixels; begin += kBlock) {
    const int64_t count = pixels - begin < kBlock ? pixels - begin : kBlock;
    uint8_t* block = rgb + 3 * begin;
    for (int64_t i = 0; i < count; ++i) {
      const Hsv hsv = rgb_to_hsv(block[3 * i], block[3 * i + 1], block[3 * i + 2], Quotients{255},
                                 Quotients{30});
      hue[i] = uint8_t(hsv.h);
      saturation[i] = uint8_t(hsv.s);
      value[i] = uint8_t(hsv.v);
    }
    look_up(tables.hue, hue, count);
    look_up(tables.saturation, saturation, count);
    look_up(tables.value, value, count);
    for (int64_t i = 0; i < count; ++i) {
      const float h = hue[i], s = saturation[i], v = value[i];
      block[3 * i] = uint8_t(hsv_channel(5, h, s, v));
      block[3 * i + 1] = uint8_t(hsv_channel(3, h, s, v));
      block[3 * i + 2] = uint8_t(hsv_channel(1, h, s, v));
    }
  }
}

}  // namespace

const GatherKernels& gather_kernels() {
  static const GatherKernels kernels{gather_row, mix_rows, shift_hsv};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
