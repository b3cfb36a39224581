// SPDX-License-Identifier: MIT
#include "data/canvas_sample.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>

#include <ydistill/data/gather.h>

namespace ydistill::test {
namespace {

/// A box's fractions of a picture, in pixels of that picture moved by (left, top).
CornerBox corners_of(const Label& label, double width, double height, double left, double top) {
  return {width * (label.cx - label.w / 2) + left, height * (label.cy - label.h / 2) + top,
          width * (label.cx + label.w / 2) + left, height * (label.cy + label.h / 2) + top};
}

/// Copies the part of `image` that starts at (from_x, from_y) to (x, y) of the canvas.
void paste(const Image& image, int64_t from_x, int64_t from_y, Image& canvas, int64_t x, int64_t y,
           int64_t width, int64_t height) {
  for (int64_t row = 0; row < height; ++row) {
    std::memcpy(canvas.at(x, y + row), image.at(from_x, from_y + row), size_t(width * 3));
  }
}

/// Four pictures that meet at a random point of a canvas twice the sample's size, each cut where it
/// leaves the canvas. Reads the random numbers: centre (y, x), three partners, their places.
std::vector<PixelLabel> draw_mosaic(int64_t index, std::span<const int64_t> partners,
                                    const PictureSource& source, int64_t image_size, Rng& rng,
                                    Image& canvas) {
  const int64_t side = 2 * image_size;
  canvas.width = canvas.height = side;
  canvas.rgb.resize(size_t(side * side * 3));
  std::memset(canvas.rgb.data(), kPaddingGrey, canvas.rgb.size());
  const auto centre = [&] {
    return int64_t(rng.uniform(double(image_size / 2), double(side - image_size / 2)));
  };
  const int64_t centre_y = centre();
  const int64_t centre_x = centre();
  std::array<int64_t, 4> indices{index, index, index, index};
  for (size_t i = 1; i < 4; ++i) {
    if (!partners.empty()) indices[i] = partners[size_t(rng.below(int64_t(partners.size())))];
  }
  for (size_t i = 3; i > 0; --i) std::swap(indices[i], indices[size_t(rng.below(int64_t(i) + 1))]);

  std::vector<PixelLabel> labels;
  for (size_t i = 0; i < 4; ++i) {  // top left, top right, bottom left, bottom right
    const bool is_left = i % 2 == 0, is_top = i < 2;
    const LoadedPicture picture = source(indices[i]);
    const Image& image = *picture.image;
    const int64_t width = std::min(image.width, is_left ? centre_x : side - centre_x);
    const int64_t height = std::min(image.height, is_top ? centre_y : side - centre_y);
    const int64_t x = is_left ? centre_x - width : centre_x;
    const int64_t y = is_top ? centre_y - height : centre_y;
    const int64_t from_x = is_left ? image.width - width : 0;
    const int64_t from_y = is_top ? image.height - height : 0;
    paste(image, from_x, from_y, canvas, x, y, width, height);
    for (const Label& label : *picture.labels) {
      const CornerBox box = corners_of(label, double(image.width), double(image.height),
                                       double(x - from_x), double(y - from_y));
      const auto clip = [&](double v) { return std::clamp(v, 0.0, double(side)); };
      labels.push_back({label.class_id, {clip(box.x1), clip(box.y1), clip(box.x2), clip(box.y2)}});
    }
  }
  return labels;
}

/// One picture, letterboxed to a square.
std::vector<PixelLabel> draw_single(int64_t index, const PictureSource& source, int64_t image_size,
                                    Image& canvas) {
  const LoadedPicture picture = source(index);
  const Image& image = *picture.image;
  const Letterbox box =
      validation_letterbox(image.width, image.height, image_size, image_size, image_size);
  canvas.width = canvas.height = image_size;
  canvas.rgb.resize(size_t(image_size * image_size * 3));
  apply_letterbox(image, box, canvas.rgb.data());
  std::vector<PixelLabel> labels;
  for (const Label& label : *picture.labels) {
    labels.push_back({label.class_id, corners_of(label, double(box.inner_width),
                                                 double(box.inner_height), box.pad_x, box.pad_y)});
  }
  return labels;
}

uint8_t blend(int32_t p00, int32_t p01, int32_t p10, int32_t p11, int32_t fx, int32_t fy) {
  const int32_t upper = p00 * (32 - fx) + p01 * fx;
  const int32_t lower = p10 * (32 - fx) + p11 * fx;
  return uint8_t((upper * (32 - fy) + lower * fy + 512) >> 10);
}

void warp_row(const uint8_t* source, int64_t width, int64_t height, int64_t x0, int64_t y0,
              const int64_t* x_steps, const int64_t* y_steps, int64_t pixels, uint8_t grey,
              uint8_t* out) {
  constexpr int kDropped = kWarpBits - kTapBits;
  constexpr int64_t kHalf = int64_t(1) << (kDropped - 1), kFraction = (1 << kTapBits) - 1;
  for (int64_t i = 0; i < pixels; ++i, out += 3) {
    const int64_t x_32 = (x0 + x_steps[i] + kHalf) >> kDropped;
    const int64_t y_32 = (y0 + y_steps[i] + kHalf) >> kDropped;
    const int64_t x = x_32 >> kTapBits, y = y_32 >> kTapBits;
    const int32_t fx = int32_t(x_32 & kFraction), fy = int32_t(y_32 & kFraction);
    const bool inside = x >= 0 && y >= 0 && x + 1 < width && y + 1 < height;
    if (inside) {
      const uint8_t* upper = source + (y * width + x) * 3;
      const uint8_t* lower = upper + width * 3;
      for (int c = 0; c < 3; ++c) {
        out[c] = blend(upper[c], upper[c + 3], lower[c], lower[c + 3], fx, fy);
      }
    } else if (x < -1 || y < -1 || x >= width || y >= height) {
      out[0] = out[1] = out[2] = grey;
    } else {
      for (int c = 0; c < 3; ++c) {
        const auto level = [&](int64_t at_x, int64_t at_y) -> int32_t {
          if (at_x < 0 || at_y < 0 || at_x >= width || at_y >= height) return grey;
          return source[(at_y * width + at_x) * 3 + c];
        };
        out[c] = blend(level(x, y), level(x + 1, y), level(x, y + 1), level(x + 1, y + 1), fx, fy);
      }
    }
  }
}

void warp(const Image& image, const WarpMap& affine, int64_t out_width, int64_t out_height,
          uint8_t* output) {
  const auto& m = affine.m;
  const double determinant = m[0][0] * m[1][1] - m[0][1] * m[1][0];
  if (!std::isnormal(determinant) || image.rgb.empty()) {
    std::fill_n(output, out_width * out_height * 3, kPaddingGrey);
    return;
  }
  const double inverse[2][2] = {{m[1][1] / determinant, -m[0][1] / determinant},
                                {-m[1][0] / determinant, m[0][0] / determinant}};
  const double origin[2] = {-inverse[0][0] * m[0][2] - inverse[0][1] * m[1][2],
                            -inverse[1][0] * m[0][2] - inverse[1][1] * m[1][2]};
  // Beyond 2^40 / 1024 pixels everything is grey; the bound keeps sums inside int64.
  const auto fixed = [](double position) {
    constexpr double kBound = 0x1p40;
    return int64_t(std::nearbyint(std::clamp(position * (1 << kWarpBits), -kBound, kBound)));
  };
  std::vector<int64_t> x_steps(static_cast<size_t>(out_width)),
      y_steps(static_cast<size_t>(out_width));
  for (int64_t x = 0; x < out_width; ++x) {
    x_steps[size_t(x)] = fixed(inverse[0][0] * double(x));
    y_steps[size_t(x)] = fixed(inverse[1][0] * double(x));
  }
  for (int64_t y = 0; y < out_height; ++y) {
    warp_row(image.rgb.data(), image.width, image.height,
             fixed(inverse[0][1] * double(y) + origin[0]),
             fixed(inverse[1][1] * double(y) + origin[1]), x_steps.data(), y_steps.data(),
             out_width, kPaddingGrey, output + y * out_width * 3);
  }
}

void flip_horizontal(uint8_t* rgb, int64_t width, int64_t height) {
  for (int64_t y = 0; y < height; ++y) {
    uint8_t* left = rgb + y * width * 3;
    uint8_t* right = left + (width - 1) * 3;
    for (; left < right; left += 3, right -= 3) std::swap_ranges(left, left + 3, right);
  }
}

void flip_vertical(uint8_t* rgb, int64_t width, int64_t height) {
  for (int64_t y = 0; y < height / 2; ++y) {
    uint8_t* upper = rgb + y * width * 3;
    std::swap_ranges(upper, upper + width * 3, rgb + (height - 1 - y) * width * 3);
  }
}

}  // namespace

std::vector<Label> canvas_sample(const AugmentOptions& options, int64_t index,
                                 std::span<const int64_t> partners, const PictureSource& source,
                                 int64_t image_size, Rng rng, uint8_t* output) {
  // Kept between samples: a megabyte that would be mapped and faulted in each time.
  thread_local Image canvas;
  const bool is_mosaic = rng.uniform() < options.mosaic;
  std::vector<PixelLabel> labels =
      is_mosaic ? draw_mosaic(index, partners, source, image_size, rng, canvas)
                : draw_single(index, source, image_size, canvas);

  const WarpMap affine =
      draw_warp_map(options, rng, canvas.width, canvas.height, image_size, image_size);
  warp(canvas, affine, image_size, image_size, output);
  labels = warp_labels(labels, affine, image_size, image_size);

  const auto gain = [&](double range) { return 1 + rng.uniform(-1, 1) * range; };
  const double hue = gain(options.hsv_h);
  const double saturation = gain(options.hsv_s);
  const double value = gain(options.hsv_v);
  if (options.hsv_h > 0 || options.hsv_s > 0 || options.hsv_v > 0) {
    shift_hsv(output, image_size * image_size, hue, saturation, value);
  }
  const bool flips_up = rng.uniform() < options.flipud;
  const bool flips_left = rng.uniform() < options.fliplr;
  if (flips_up) flip_vertical(output, image_size, image_size);
  if (flips_left) flip_horizontal(output, image_size, image_size);

  std::vector<Label> out;
  out.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    Label fractions = fractions_of(label, image_size, image_size);
    if (flips_up) fractions.cy = 1 - fractions.cy;
    if (flips_left) fractions.cx = 1 - fractions.cx;
    out.push_back(fractions);
  }
  return out;
}

}  // namespace ydistill::test
