// SPDX-License-Identifier: MIT
// Augmentations of pixels and of boxes, each by itself; augment.cpp puts them together.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include <ydistill/data/augment.h>
#include <ydistill/data/warp_kernels.h>

namespace ydistill {

Affine draw_affine(const AugmentOptions& options, Rng& rng, int64_t width, int64_t height,
                   int64_t out_width, int64_t out_height) {
  constexpr double kDegree = std::numbers::pi / 180;
  const double angle = rng.uniform(-options.degrees, options.degrees) * kDegree;
  const double scale = rng.uniform(1 - options.scale, 1 + options.scale);
  const double shear_x = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double shear_y = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double low = 0.5 - options.translate, high = 0.5 + options.translate;
  const double to_x = rng.uniform(low, high) * double(out_width);
  const double to_y = rng.uniform(low, high) * double(out_height);
  // R turns counter-clockwise on the screen, where y points down.
  const double cosine = scale * std::cos(angle), sine = scale * std::sin(angle);
  const double linear[2][2] = {{cosine - shear_x * sine, sine + shear_x * cosine},
                               {shear_y * cosine - sine, shear_y * sine + cosine}};
  const double from_x = double(width) / 2, from_y = double(height) / 2;
  Affine affine;
  affine.scale = scale;
  for (int row = 0; row < 2; ++row) {
    affine.m[row][0] = linear[row][0];
    affine.m[row][1] = linear[row][1];
    affine.m[row][2] = (row == 0 ? to_x : to_y) - linear[row][0] * from_x - linear[row][1] * from_y;
  }
  return affine;
}

void warp_affine(const Image& image, const Affine& affine, int64_t out_width, int64_t out_height,
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
  const WarpKernels& kernels = warp_kernels();
  for (int64_t y = 0; y < out_height; ++y) {
    kernels.warp_row(image.rgb.data(), image.width, image.height,
                     fixed(inverse[0][1] * double(y) + origin[0]),
                     fixed(inverse[1][1] * double(y) + origin[1]), x_steps.data(), y_steps.data(),
                     out_width, kPaddingGrey, output + y * out_width * 3);
  }
}

bool keep_label(const CornerBox& before, const CornerBox& after, double scale) {
  constexpr double kMinSide = 2, kMinAreaShare = 0.1, kMaxAspect = 100, kTiny = 1e-16;
  const double before_area = (before.x2 - before.x1) * scale * ((before.y2 - before.y1) * scale);
  const double w = after.x2 - after.x1, h = after.y2 - after.y1;
  const double aspect = std::max(w / (h + kTiny), h / (w + kTiny));
  return w > kMinSide && h > kMinSide && w * h / (before_area + kTiny) > kMinAreaShare &&
         aspect < kMaxAspect;
}

std::vector<PixelLabel> warp_labels(const std::vector<PixelLabel>& labels, const Affine& affine,
                                    int64_t out_width, int64_t out_height) {
  std::vector<PixelLabel> kept;
  kept.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    const CornerBox& b = label.box;
    const double corners[4][2] = {{b.x1, b.y1}, {b.x2, b.y2}, {b.x1, b.y2}, {b.x2, b.y1}};
    double low[2], high[2];
    for (int axis = 0; axis < 2; ++axis) {
      const double* m = affine.m[axis];
      const double limit = double(axis == 0 ? out_width : out_height);
      low[axis] = high[axis] = m[0] * corners[0][0] + m[1] * corners[0][1] + m[2];
      for (int i = 1; i < 4; ++i) {
        const double at = m[0] * corners[i][0] + m[1] * corners[i][1] + m[2];
        low[axis] = std::min(low[axis], at);
        high[axis] = std::max(high[axis], at);
      }
      low[axis] = std::clamp(low[axis], 0.0, limit);
      high[axis] = std::clamp(high[axis], 0.0, limit);
    }
    const CornerBox after{low[0], low[1], high[0], high[1]};
    if (keep_label(b, after, affine.scale)) kept.push_back({label.class_id, after});
  }
  return kept;
}

void shift_hsv(uint8_t* rgb, int64_t pixels, double hue_gain, double saturation_gain,
               double value_gain) {
  HsvTables tables;
  for (int i = 0; i < 256; ++i) {
    tables.saturation_of[i] = i == 0 ? 0 : int32_t(std::nearbyint(255.0 * 4096 / i));
    tables.hue_of[i] = i == 0 ? 0 : int32_t(std::nearbyint(30.0 * 4096 / i));
    // Truncated, not rounded: NumPy's astype(uint8).
    tables.hue[i] = uint8_t(std::fmod(i * hue_gain, 180.0));
    tables.saturation[i] = uint8_t(std::clamp(i * saturation_gain, 0.0, 255.0));
    tables.value[i] = uint8_t(std::clamp(i * value_gain, 0.0, 255.0));
  }
  warp_kernels().shift_hsv(rgb, pixels, tables);
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

}  // namespace ydistill
