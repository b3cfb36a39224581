// SPDX-License-Identifier: MIT
// A training sample as one gather: each pixel of the output looks up where it comes from in up to
// nine pictures, is blended with that of a second such layer (mixup), and changes its colour. The
// formulas, for the CPU and the GPU.
//
// The pictures are pasted onto a canvas that nobody makes: pieces say which of its pixels show
// which picture, all others are grey; a mask says which show the canvas's mirror image instead
// (copy-paste). Everything is integers, or floats that are exact or rounded as IEEE 754 says: all
// machines give the same bytes.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// Positions are counted in 1/1024 pixel and rounded to 1/32 (OpenCV's AB_BITS and INTER_BITS).
inline constexpr int kWarpBits = 10;
inline constexpr int kTapBits = 5;

/// Factors of hue, saturation and value.
struct HsvGains {
  float hue, saturation, value;
};

/// Look-up tables of one HSV shift.
struct HsvTables {
  int32_t saturation_of[256];
  int32_t hue_of[256];
  uint8_t hue[256];
  uint8_t saturation[256];
  uint8_t value[256];
  /// What gives the last three by a product in float: truncated, then less 180 from 180 on (hue) or
  /// at most 255. All 0 where no such product gives them: then they must be looked up.
  HsvGains gains;
};

/// Pixels [left, right) x [top, bottom) of the canvas show a picture: (x, y) there is
/// (x + shift_x, y + shift_y) in the picture.
struct GatherPiece {
  const uint8_t* rgb;  ///< the picture, [height, width, 3], in the memory of who gathers
  int32_t width;
  int32_t left, top, right, bottom;
  int32_t shift_x, shift_y;
};

inline constexpr int kMaxPieces = 9;  // of a mosaic of nine
inline constexpr int kMaxLayers = 2;  // of mixup
/// Denominators of a projective map are counted in 2^-26, its numerators in 2^-26 of 1/32 pixel.
inline constexpr int kProjectionBits = 26;
/// The second layer's weight counts in 2^-16, the first has the rest.
inline constexpr int kWeightBits = 16;

/// Pieces do not overlap. Steps and mask stand apart: GatherLayerData.
struct GatherLayer {
  GatherPiece pieces[kMaxPieces];
  int32_t num_pieces;
  int32_t is_projective;   ///< 0: the steps are of gather_steps, else of projective_steps
  int32_t mirrored_width;  ///< of the canvas, where there is a mask
  int32_t mirrored_height;
};

/// Copied as it is to a GPU.
struct GatherSample {
  GatherLayer layers[kMaxLayers];
  int32_t num_layers;
  int32_t second_weight;
  int32_t shifts_colours;  ///< 0: hsv is unused
  int32_t reserved;
  HsvTables hsv;
};

/// Bytes of a layer's steps and mask from the beginning of a packed plan; mask 0: none.
struct PackedLayer {
  int64_t steps, mask;
};

/// A plan as it goes to a GPU: this, then what it points to.
struct PackedPlan {
  GatherSample sample;
  PackedLayer layers[kMaxLayers];
};

/// Words of a mask's row: bit x % 64 of word x / 64 says whether pixel x is mirrored.
YD_HOST_DEVICE int64_t mask_words(int64_t canvas_width) {
  return (canvas_width + 63) / 64;
}

/// What belongs to a layer and has no fixed size, in the memory of who gathers.
struct GatherLayerData {
  const int64_t* steps;
  const uint64_t* mask;  ///< [mirrored_height, mask_words(mirrored_width)]; null: none
};

YD_HOST_DEVICE GatherLayerData packed_layer(const uint8_t* plan, const PackedPlan& header,
                                            int layer) {
  const PackedLayer& at = header.layers[layer];
  return {reinterpret_cast<const int64_t*>(plan + at.steps),
          at.mask == 0 ? nullptr : reinterpret_cast<const uint64_t*>(plan + at.mask)};
}

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
template <class Int>
YD_HOST_DEVICE Int rounded_to_taps(Int position) {
  constexpr int kDropped = kWarpBits - kTapBits;
  return (position + (Int(1) << (kDropped - 1))) >> kDropped;
}

/// At a position in 1/32 pixel.
YD_HOST_DEVICE Taps taps_of(int64_t x_32, int64_t y_32) {
  constexpr uint32_t kFraction = (1 << kTapBits) - 1;
  return {x_32 >> kTapBits, y_32 >> kTapBits, uint32_t(x_32) & kFraction,
          uint32_t(y_32) & kFraction};
}

/// At a position in 1/1024 pixel.
YD_HOST_DEVICE Taps taps_at(int64_t x, int64_t y) {
  return taps_of(rounded_to_taps(x), rounded_to_taps(y));
}

/// One coordinate of a projective map in 1/32 pixel; numbers below 2^53, so that the division is
/// the only rounding. A denominator of 0 gives 0, as in OpenCV.
YD_HOST_DEVICE int64_t projected(int64_t numerator, int64_t denominator) {
  constexpr double kFar = 1099511627776.0;  // 2^40: grey, and its pixel fits
  if (denominator == 0) return 0;
  const double at = rint(double(numerator) / double(denominator));
  return int64_t(at < -kFar ? -kFar : (at > kFar ? kFar : at));
}

/// Where output pixel (x, y) of [height, width] lies on a layer's canvas.
YD_HOST_DEVICE Taps taps_in(const GatherLayer& layer, const int64_t* steps, int64_t width,
                            int64_t height, int64_t x, int64_t y) {
  if (layer.is_projective == 0) {
    const int64_t* of_row = steps + 2 * width;
    return taps_at(steps[x] + of_row[y], steps[width + x] + of_row[height + y]);
  }
  const int64_t* of_row = steps + 3 * width;
  const int64_t divisor = steps[2 * width + x] + of_row[2 * height + y];
  return taps_of(projected(steps[x] + of_row[y], divisor),
                 projected(steps[width + x] + of_row[height + y], divisor));
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
YD_HOST_DEVICE uint64_t canvas_levels(const GatherLayer& layer, int64_t x, int64_t y,
                                      uint8_t grey) {
  for (int i = 0; i < layer.num_pieces; ++i) {
    const GatherPiece& piece = layer.pieces[i];
    if (x >= piece.left && x < piece.right && y >= piece.top && y < piece.bottom) {
      return spread_levels(address_in(piece, x, y));
    }
  }
  return spread_levels(grey, grey, grey);
}

/// The canvas at the taps.
YD_HOST_DEVICE Rgb gather_pixel(const GatherLayer& layer, const Taps& taps, uint8_t grey) {
  bool touches = false;
  for (int i = 0; i < layer.num_pieces; ++i) {
    const GatherPiece& piece = layer.pieces[i];
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
  return blend_taps(canvas_levels(layer, taps.x, taps.y, grey),
                    canvas_levels(layer, taps.x + 1, taps.y, grey),
                    canvas_levels(layer, taps.x, taps.y + 1, grey),
                    canvas_levels(layer, taps.x + 1, taps.y + 1, grey), taps.fx, taps.fy);
}

/// 1 where canvas pixel (x, y) shows the mirror image.
YD_HOST_DEVICE int mirrored_at(const GatherLayer& layer, const uint64_t* mask, int64_t x,
                               int64_t y) {
  if (x < 0 || y < 0 || x >= layer.mirrored_width || y >= layer.mirrored_height) return 0;
  return int(mask[y * mask_words(layer.mirrored_width) + x / 64] >> (x % 64) & 1);
}

/// The canvas at the taps, where parts of it show the mirror image.
YD_HOST_DEVICE Rgb gather_masked_pixel(const GatherLayer& layer, const uint64_t* mask,
                                       const Taps& taps, uint8_t grey) {
  int count = 0;
  uint64_t levels[4] = {0, 0, 0, 0};
  bool mirrored[4] = {false, false, false, false};
  for (int i = 0; i < 4; ++i) {
    mirrored[i] = mirrored_at(layer, mask, taps.x + i % 2, taps.y + i / 2) != 0;
    count += mirrored[i] ? 1 : 0;
  }
  if (count == 0) return gather_pixel(layer, taps, grey);
  for (int i = 0; i < 4; ++i) {
    const int64_t x = taps.x + i % 2;
    levels[i] =
        canvas_levels(layer, mirrored[i] ? layer.mirrored_width - 1 - x : x, taps.y + i / 2, grey);
  }
  return blend_taps(levels[0], levels[1], levels[2], levels[3], taps.fx, taps.fy);
}

/// Output pixel (x, y) of [height, width] in one layer.
YD_HOST_DEVICE Rgb layer_pixel(const GatherLayer& layer, const GatherLayerData& data, int64_t width,
                               int64_t height, int64_t x, int64_t y, uint8_t grey) {
  const Taps taps = taps_in(layer, data.steps, width, height, x, y);
  return data.mask == nullptr ? gather_pixel(layer, taps, grey)
                              : gather_masked_pixel(layer, data.mask, taps, grey);
}

/// Truncated, as YOLOv5's mixup does it.
YD_HOST_DEVICE uint8_t mix_levels(uint32_t first, uint32_t second, uint32_t second_weight) {
  constexpr uint32_t kOne = 1u << kWeightBits;
  return uint8_t((first * (kOne - second_weight) + second * second_weight) >> kWeightBits);
}

YD_HOST_DEVICE Rgb mix(const Rgb& first, const Rgb& second, uint32_t second_weight) {
  return {mix_levels(first.r, second.r, second_weight),
          mix_levels(first.g, second.g, second_weight),
          mix_levels(first.b, second.b, second_weight)};
}

/// One pixel as OpenCV's 8-bit HSV: hue 0..179 (2 degrees each), saturation and value 0..255.
struct Hsv {
  int32_t h, s, v;
};

/// The two divisions come from the tables in 1/4096: saturation_of[v] = 255 / v, hue_of[d] = 30 /
/// d; what they hold at 0 does not matter.
///   s = 255 d / v, d = v - min;  h = 30 / d * (g - b | 2 d + b - r | 4 d + r - g)
YD_HOST_DEVICE Hsv rgb_to_hsv(int32_t r, int32_t g, int32_t b, const HsvTables& tables) {
  const int32_t max_rg = r > g ? r : g, min_rg = r < g ? r : g;
  const int32_t v = max_rg > b ? max_rg : b;
  const int32_t d = v - (min_rg < b ? min_rg : b);
  const int32_t s = (d * tables.saturation_of[v] + 2048) >> 12;
  const int32_t sixth = v == r ? g - b : (v == g ? b - r + 2 * d : r - g + 4 * d);
  const int32_t h = (sixth * tables.hue_of[d] + 2048) >> 12;
  return {h < 0 ? h + 180 : h, s, v};
}

/// Back to a channel: level = v - v s / 255 part, part = max(0, min(k, 4 - k, 1)) with
/// k = (n + h / 30) mod 6; n = 5 for red, 3 for green, 1 for blue. Truncated, as OpenCV's vector
/// code does it: half a level darker than rounding, on average.
/// Counted in 1/7650 (255 times 30) level, and 30 part as min(max(q, 30), 60) - 30, where 30 more
/// than q is how far h lies from the hue of the channel's greatest level, round the circle:
/// q = | |h - opposite| - 90 | with the hue opposite to that one. h, s, v are whole numbers: up to
/// the last product every float is one or a half below 2^22, so no fused multiply-add can change
/// it; and (x + 1/2) / 7650 is so far from every whole number that the product's rounding does not
/// reach one.
struct HsvLevels {
  float hue, most, slope;

  YD_HOST_DEVICE HsvLevels(float h, float s, float v)
      : hue(h), most(v * (7650.0f + 30.0f * s) + 0.5f), slope(v * s) {}

  YD_HOST_DEVICE int32_t level(float opposite) const {
    float q = fabsf(fabsf(hue - opposite) - 90.0f);
    q = q > 30.0f ? q : 30.0f;
    q = q < 60.0f ? q : 60.0f;
    return int32_t((most - slope * q) * (1.0f / 7650.0f));
  }
  YD_HOST_DEVICE int32_t red() const { return level(90); }
  YD_HOST_DEVICE int32_t green() const { return level(150); }
  YD_HOST_DEVICE int32_t blue() const { return level(30); }
};

YD_HOST_DEVICE Rgb shift_pixel(Rgb pixel, const HsvTables& tables) {
  const Hsv hsv = rgb_to_hsv(pixel.r, pixel.g, pixel.b, tables);
  const HsvLevels to(tables.hue[hsv.h], tables.saturation[hsv.s], tables.value[hsv.v]);
  return {uint8_t(to.red()), uint8_t(to.green()), uint8_t(to.blue())};
}

}  // namespace ydistill
