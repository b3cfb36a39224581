// SPDX-License-Identifier: MIT
// A training sample as one gather: each output pixel is sampled from up to nine pictures, blended
// with that of a second such layer (mixup), and shifted in colour. The formulas are shared by the
// CPU and the GPU.
//
// The pictures lie on a virtual canvas that is never stored: pieces define which canvas pixels show
// which picture, all others are grey; a mask marks pixels that show the canvas's mirror image
// instead (copy-paste). All arithmetic is in integers, or in floats that are exact or rounded as in
// IEEE 754: all machines give the same bytes.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// Positions are in 1/1024 pixel and are rounded to 1/32 (OpenCV's AB_BITS and INTER_BITS).
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
  /// Factors that reproduce the last three tables by a product in float: truncated, then minus 180
  /// from 180 on (hue) or at most 255. All 0 if no such product does: the tables must then be used.
  HsvGains gains;
};

/// Pixels [left, right) x [top, bottom) of the canvas show a picture: (x, y) there is
/// (x + shift_x, y + shift_y) in the picture.
struct GatherPiece {
  const uint8_t* rgb;  ///< the picture, [height, width, 3], in memory of the gathering device
  int32_t width;
  int32_t left, top, right, bottom;
  int32_t shift_x, shift_y;
};

inline constexpr int kMaxPieces = 9;  // of a mosaic of nine
inline constexpr int kMaxLayers = 2;  // of mixup
/// Denominators of a projective map are in units of 2^-26, numerators in 2^-26 of 1/32 pixel.
inline constexpr int kProjectionBits = 26;
/// The second layer's weight is in units of 2^-16; the first has weight 1 minus that.
inline constexpr int kWeightBits = 16;

/// Pieces do not overlap. Steps and mask are stored in GatherLayerData.
struct GatherLayer {
  GatherPiece pieces[kMaxPieces];
  int32_t num_pieces;
  int32_t is_projective;   ///< 0: the steps are of gather_steps, else of projective_steps
  int32_t mirrored_width;  ///< of the canvas; used only with a mask
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

/// Byte offsets of a layer's steps and mask from the start of a packed plan; mask 0: none.
struct PackedLayer {
  int64_t steps, mask;
};

/// Header of a plan as it is sent to a GPU; the data that it refers to follows.
struct PackedPlan {
  GatherSample sample;
  PackedLayer layers[kMaxLayers];
};

/// Words of a mask's row: bit x % 64 of word x / 64 says whether pixel x is mirrored.
YD_HOST_DEVICE int64_t mask_words(int64_t canvas_width) {
  return (canvas_width + 63) / 64;
}

/// A layer's data without a fixed size, in memory of the gathering device.
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

/// A pixel's three levels packed into one word, 21 bits each, so that one multiplication handles
/// all three; the largest sum in blend_taps takes 18 bits.
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

/// The upper left of four neighbouring pixels, and the position's fraction beyond it, in 1/32
/// pixel.
struct Taps {
  int64_t x, y;
  uint32_t fx, fy;
};

/// A position in 1/1024 pixel, rounded to 1/32 pixel.
template <class Int>
YD_HOST_DEVICE Int rounded_to_taps(Int position) {
  constexpr int kDropped = kWarpBits - kTapBits;
  return (position + (Int(1) << (kDropped - 1))) >> kDropped;
}

/// The taps of a position in 1/32 pixel.
YD_HOST_DEVICE Taps taps_of(int64_t x_32, int64_t y_32) {
  constexpr uint32_t kFraction = (1 << kTapBits) - 1;
  return {x_32 >> kTapBits, y_32 >> kTapBits, uint32_t(x_32) & kFraction,
          uint32_t(y_32) & kFraction};
}

/// The taps of a position in 1/1024 pixel.
YD_HOST_DEVICE Taps taps_at(int64_t x, int64_t y) {
  return taps_of(rounded_to_taps(x), rounded_to_taps(y));
}

/// One coordinate of a projective map in 1/32 pixel. The arguments are below 2^53, so that only the
/// division rounds. A denominator of 0 gives 0, as in OpenCV.
YD_HOST_DEVICE int64_t projected(int64_t numerator, int64_t denominator) {
  constexpr double kFar = 1099511627776.0;  // 2^40: outside all pieces, without overflow
  if (denominator == 0) return 0;
  const double at = rint(double(numerator) / double(denominator));
  return int64_t(at < -kFar ? -kFar : (at > kFar ? kFar : at));
}

/// The position of output pixel (x, y) of [height, width] on a layer's canvas.
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

/// Address of canvas pixel (x, y) in the picture of a piece that covers it.
YD_HOST_DEVICE const uint8_t* address_in(const GatherPiece& piece, int64_t x, int64_t y) {
  return piece.rgb + ((y + piece.shift_y) * piece.width + x + piece.shift_x) * 3;
}

/// The blend if one piece covers all four pixels.
YD_HOST_DEVICE Rgb blend_in(const GatherPiece& piece, const Taps& taps) {
  const uint8_t* upper = address_in(piece, taps.x, taps.y);
  const uint8_t* lower = upper + int64_t(piece.width) * 3;
  return blend_taps(spread_levels(upper), spread_levels(upper + 3), spread_levels(lower),
                    spread_levels(lower + 3), taps.fx, taps.fy);
}

/// One pixel of the canvas, from the piece that covers it, else grey.
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

/// The canvas interpolated at the taps.
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

/// 1 if canvas pixel (x, y) shows the mirror image, else 0.
YD_HOST_DEVICE int mirrored_at(const GatherLayer& layer, const uint64_t* mask, int64_t x,
                               int64_t y) {
  if (x < 0 || y < 0 || x >= layer.mirrored_width || y >= layer.mirrored_height) return 0;
  return int(mask[y * mask_words(layer.mirrored_width) + x / 64] >> (x % 64) & 1);
}

/// The same for a canvas with a mask: the marked pixels show the mirror image.
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

/// Output pixel (x, y) of [height, width] from one layer.
YD_HOST_DEVICE Rgb layer_pixel(const GatherLayer& layer, const GatherLayerData& data, int64_t width,
                               int64_t height, int64_t x, int64_t y, uint8_t grey) {
  const Taps taps = taps_in(layer, data.steps, width, height, x, y);
  return data.mask == nullptr ? gather_pixel(layer, taps, grey)
                              : gather_masked_pixel(layer, data.mask, taps, grey);
}

/// Truncated, as in YOLOv5's mixup.
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

/// The two divisions are looked up, in units of 1/4096: saturation_of[v] = 255 / v, hue_of[d] = 30
/// / d; their entries at 0 are never used with a non-zero factor.
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
/// Computed in units of 1/7650 level (7650 = 255 times 30), with 30 part = min(max(q, 30), 60) -
/// 30. q + 30 is the circular distance of h from the hue at which the channel is largest:
/// q = | |h - opposite| - 90 |, `opposite` being the hue opposite to that one. h, s, v are whole
/// numbers: up to the last product every float is a whole or half number below 2^22, so a fused
/// multiply-add cannot change it; and (x + 1/2) / 7650 is so far from every whole number that the
/// last product's rounding cannot reach one.
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
