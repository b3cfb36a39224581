// SPDX-License-Identifier: MIT
// A training sample as one gather: each pixel of the output looks up where it comes from in up to
// four pictures and changes its colour. The formulas, for the CPU and the GPU.
//
// The pictures are pasted onto a canvas that nobody makes: pieces say which of its pixels show
// which picture, all others are grey. Everything is integers, or floats that are exact: all
// machines give the same bytes.
#pragma once

#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// Positions are counted in 1/1024 pixel and rounded to 1/32 (OpenCV's AB_BITS and INTER_BITS).
inline constexpr int kWarpBits = 10;
inline constexpr int kTapBits = 5;

/// Look-up tables of one HSV shift.
struct HsvTables {
  int32_t saturation_of[256];
  int32_t hue_of[256];
  uint8_t hue[256];
  uint8_t saturation[256];
  uint8_t value[256];
};

/// Pixels [left, right) x [top, bottom) of the canvas show a picture: (x, y) there is
/// (x + shift_x, y + shift_y) in the picture.
struct GatherPiece {
  const uint8_t* rgb;  ///< the picture, [height, width, 3], in the memory of who gathers
  int32_t width;
  int32_t left, top, right, bottom;
  int32_t shift_x, shift_y;
};

/// Copied as it is to a GPU. Pieces do not overlap.
struct GatherSample {
  GatherPiece pieces[4];
  int32_t num_pieces;
  int32_t shifts_colours;  ///< 0: hsv is unused
  HsvTables hsv;
};

/// Levels of a pixel side by side, 21 bits each, so that one multiplication serves all three; the
/// largest sum that blend_taps makes has 18.
YD_HOST_DEVICE uint64_t spread_levels(uint64_t r, uint64_t g, uint64_t b) {
  return r | g << 21 | b << 42;
}
YD_HOST_DEVICE uint64_t spread_levels(const uint8_t* rgb) {
  return spread_levels(rgb[0], rgb[1], rgb[2]);
}

struct Rgb {
  uint8_t r, g, b;
};

/// Bilinear blend of four pixels, rounded; fx, fy in 1/32 of the way to the right and down.
YD_HOST_DEVICE Rgb blend_taps(uint64_t p00, uint64_t p01, uint64_t p10, uint64_t p11, uint32_t fx,
                              uint32_t fy) {
  const uint64_t upper = p00 * (32 - fx) + p01 * fx;
  const uint64_t lower = p10 * (32 - fx) + p11 * fx;
  const uint64_t sum = upper * (32 - fy) + lower * fy + spread_levels(512, 512, 512);
  return {uint8_t(sum >> 10), uint8_t(sum >> 31), uint8_t(sum >> 52)};
}

/// The upper left of four neighbouring pixels and how far the position lies beyond it.
struct Taps {
  int64_t x, y;
  uint32_t fx, fy;
};

/// A position in 1/1024 pixel, in 1/32 pixel.
YD_HOST_DEVICE int64_t rounded_to_taps(int64_t position) {
  constexpr int kDropped = kWarpBits - kTapBits;
  return (position + (int64_t(1) << (kDropped - 1))) >> kDropped;
}

YD_HOST_DEVICE Taps taps_at(int64_t x, int64_t y) {
  constexpr uint32_t kFraction = (1 << kTapBits) - 1;
  const int64_t x_32 = rounded_to_taps(x), y_32 = rounded_to_taps(y);
  return {x_32 >> kTapBits, y_32 >> kTapBits, uint32_t(x_32) & kFraction,
          uint32_t(y_32) & kFraction};
}

/// Canvas pixel (x, y) in the picture of a piece that shows it.
YD_HOST_DEVICE const uint8_t* address_in(const GatherPiece& piece, int64_t x, int64_t y) {
  return piece.rgb + ((y + piece.shift_y) * piece.width + x + piece.shift_x) * 3;
}

/// The blend where one piece shows all four pixels.
YD_HOST_DEVICE Rgb blend_in(const GatherPiece& piece, const Taps& taps) {
  const uint8_t* upper = address_in(piece, taps.x, taps.y);
  const uint8_t* lower = upper + int64_t(piece.width) * 3;
  return blend_taps(spread_levels(upper), spread_levels(upper + 3), spread_levels(lower),
                    spread_levels(lower + 3), taps.fx, taps.fy);
}

/// One pixel of the canvas, whatever shows it.
YD_HOST_DEVICE uint64_t canvas_levels(const GatherSample& sample, int64_t x, int64_t y,
                                      uint8_t grey) {
  for (int i = 0; i < sample.num_pieces; ++i) {
    const GatherPiece& piece = sample.pieces[i];
    if (x >= piece.left && x < piece.right && y >= piece.top && y < piece.bottom) {
      return spread_levels(address_in(piece, x, y));
    }
  }
  return spread_levels(grey, grey, grey);
}

/// The canvas at a position in 1/1024 pixel.
YD_HOST_DEVICE Rgb gather_pixel(const GatherSample& sample, int64_t x, int64_t y, uint8_t grey) {
  const Taps taps = taps_at(x, y);
  bool touches = false;
  for (int i = 0; i < sample.num_pieces; ++i) {
    const GatherPiece& piece = sample.pieces[i];
    if (taps.x + 1 < piece.left || taps.x >= piece.right || taps.y + 1 < piece.top ||
        taps.y >= piece.bottom) {
      continue;
    }
    if (taps.x >= piece.left && taps.x + 1 < piece.right && taps.y >= piece.top &&
        taps.y + 1 < piece.bottom) {
      return blend_in(piece, taps);
    }
    touches = true;
  }
  if (!touches) return {grey, grey, grey};
  return blend_taps(canvas_levels(sample, taps.x, taps.y, grey),
                    canvas_levels(sample, taps.x + 1, taps.y, grey),
                    canvas_levels(sample, taps.x, taps.y + 1, grey),
                    canvas_levels(sample, taps.x + 1, taps.y + 1, grey), taps.fx, taps.fy);
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

/// One channel back: n = 5 for red, 3 for green, 1 for blue; h, s, v whole numbers.
///   level = v - v s / 255 max(0, min(k, 4 - k, 1)), k = (n + h / 30) mod 6
/// Truncated, as OpenCV's vector code does it: half a level darker than rounding, on average.
/// Counted in 1/7650 (255 times 30) level: up to the last product every float is a whole number or
/// a half below 2^21, so no fused multiply-add can change it; and (x + 1/2) / 7650 is so far from
/// every whole number that the product's rounding does not reach one.
YD_HOST_DEVICE int32_t hsv_channel(float n, float h, float s, float v) {
  float k = n * 30.0f + h;
  k = k >= 180.0f ? k - 180.0f : k;
  float part = k < 120.0f - k ? k : 120.0f - k;
  part = part < 30.0f ? part : 30.0f;
  part = part > 0.0f ? part : 0.0f;
  return int32_t((v * (7650.0f - s * part) + 0.5f) * (1.0f / 7650.0f));
}

YD_HOST_DEVICE Rgb shift_pixel(Rgb pixel, const HsvTables& tables) {
  const Hsv hsv = rgb_to_hsv(pixel.r, pixel.g, pixel.b, tables.saturation_of, tables.hue_of);
  const float h = tables.hue[hsv.h], s = tables.saturation[hsv.s], v = tables.value[hsv.v];
  return {uint8_t(hsv_channel(5, h, s, v)), uint8_t(hsv_channel(3, h, s, v)),
          uint8_t(hsv_channel(1, h, s, v))};
}

}  // namespace ydistill
