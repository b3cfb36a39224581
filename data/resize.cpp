// SPDX-License-Identifier: MIT
#include <ydistill/data/resize.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <ydistill/data/resize_kernels.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

// ---- bilinear ----

std::vector<BilinearTap> bilinear_taps(int64_t source, int64_t target) {
  constexpr float kOne = 2048;
  const double scale = double(source) / double(target);
  std::vector<BilinearTap> taps(static_cast<size_t>(target));
  for (int64_t i = 0; i < target; ++i) {
    // In float, each weight rounded separately, halves to even: as in OpenCV.
    float position = float((double(i) + 0.5) * scale - 0.5);
    int64_t first = int64_t(std::floor(position));
    position -= float(first);
    if (first < 0) {
      first = 0;
      position = 0;
    }
    if (first >= source - 1) {
      first = source - 1;
      position = 0;
    }
    BilinearTap& tap = taps[size_t(i)];
    tap.first = int32_t(first);
    tap.second = int32_t(std::min(first + 1, source - 1));
    tap.weights[0] = int32_t(std::lrintf((1.0f - position) * kOne));
    tap.weights[1] = int32_t(std::lrintf(position * kOne));
  }
  return taps;
}

void resize_bilinear(const ImageView& image, Image& out) {
  const ResizeKernels& kernels = resize_kernels();
  const std::vector<BilinearTap> columns = bilinear_taps(image.width, out.width);
  const std::vector<BilinearTap> rows = bilinear_taps(image.height, out.height);
  const int64_t values = out.width * 3;
  // The two current source rows, already resized along x.
  std::vector<int16_t> first(static_cast<size_t>(values)), second(static_cast<size_t>(values));
  int64_t first_y = -1, second_y = -1;
  for (int64_t y = 0; y < out.height; ++y) {
    const BilinearTap& tap = rows[size_t(y)];
    if (tap.first == second_y) {
      std::swap(first, second);
      std::swap(first_y, second_y);
    }
    if (tap.first != first_y) {
      kernels.bilinear_row(image.at(0, tap.first), columns.data(), out.width, first.data());
      first_y = tap.first;
    }
    if (tap.second != second_y) {
      kernels.bilinear_row(image.at(0, tap.second), columns.data(), out.width, second.data());
      second_y = tap.second;
    }
    kernels.blend_rows(first.data(), second.data(), int16_t(tap.weights[0]),
                       int16_t(tap.weights[1]), values, out.at(0, y));
  }
}

// ---- area ----

/// The source pixels that a target pixel covers on one axis, and the share of each.
struct Coverage {
  int64_t begin = 0, end = 0;  ///< source pixels
  float first_weight = 0;      ///< of pixel `begin`
  float inner_weight = 0;      ///< of those between
  float last_weight = 0;       ///< of pixel end - 1, where it is another than `begin`

  float weight(int64_t i) const {
    if (i == begin) return first_weight;
    return i == end - 1 ? last_weight : inner_weight;
  }
};

std::vector<Coverage> coverages(int64_t source, int64_t target) {
  const double scale = double(source) / double(target);
  constexpr double kSliver = 1e-3;  // of a pixel: a rounding error of the borders, not coverage
  std::vector<Coverage> all(static_cast<size_t>(target));
  for (int64_t i = 0; i < target; ++i) {
    const double low = double(i) * scale;
    const double high = std::min(low + scale, double(source));
    Coverage& c = all[size_t(i)];
    c.begin = int64_t(std::floor(low));
    if (double(c.begin + 1) - low <= kSliver && c.begin + 1 < source) ++c.begin;
    c.end = std::min(int64_t(std::ceil(high)), source);
    if (high - double(c.end - 1) <= kSliver && c.end - 1 > c.begin) --c.end;
    const auto covered = [&](int64_t p) {
      return std::min(high, double(p + 1)) - std::max(low, double(p));
    };
    const double size = high - low;
    c.first_weight = float(covered(c.begin) / size);
    c.inner_weight = float(1 / size);
    c.last_weight = float(covered(c.end - 1) / size);
  }
  return all;
}

void resize_area(const ImageView& image, Image& out) {
  const ResizeKernels& kernels = resize_kernels();
  const std::vector<Coverage> columns = coverages(image.width, out.width);
  const std::vector<Coverage> rows = coverages(image.height, out.height);
  // Along y first, adding whole rows; then along x on the few remaining rows.
  std::vector<float> sum(static_cast<size_t>(image.width * 3)),
      line(static_cast<size_t>(out.width * 3));
  for (int64_t y = 0; y < out.height; ++y) {
    const Coverage& row = rows[size_t(y)];
    std::fill(sum.begin(), sum.end(), 0.0f);
    for (int64_t i = row.begin; i < row.end; ++i) {
      kernels.add_row(image.at(0, i), row.weight(i), image.width * 3, sum.data());
    }
    for (int64_t x = 0; x < out.width; ++x) {
      const Coverage& column = columns[size_t(x)];
      float rgb[3] = {0, 0, 0};
      for (int64_t i = column.begin; i < column.end; ++i) {
        const float weight = column.weight(i);
        for (int64_t c = 0; c < 3; ++c) rgb[c] += weight * sum[size_t(3 * i + c)];
      }
      std::copy_n(rgb, 3, line.begin() + 3 * x);
    }
    kernels.round_row(line.data(), out.width * 3, out.at(0, y));
  }
}

void halve(const ImageView& image, Image& out) {
  for (int64_t y = 0; y < out.height; ++y) {
    resize_kernels().halve_row(image.at(0, 2 * y), image.at(0, 2 * y + 1), out.width, out.at(0, y));
  }
}

}  // namespace

Image resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation) {
  if (width < 1 || height < 1 || width > kMaxPixels / height || image.width < 1 ||
      image.height < 1) {
    throw ValueError("resize: {}x{} pixels to {}x{}, 1 to {} pixels wanted", image.width,
                     image.height, width, height, kMaxPixels);
  }
  if (interpolation == Interpolation::kArea && (width > image.width || height > image.height)) {
    throw ValueError("resize: areas are averaged only when shrinking, not from {}x{} to {}x{}",
                     image.width, image.height, width, height);
  }
  if (width == image.width && height == image.height) {
    return {width, height, {image.rgb.begin(), image.rgb.end()}};
  }
  Image out;
  out.width = width;
  out.height = height;
  out.rgb.resize(size_t(width * height * 3));
  if (image.width == 2 * width && image.height == 2 * height) {
    halve(image, out);
  } else if (interpolation == Interpolation::kBilinear) {
    resize_bilinear(image, out);
  } else {
    resize_area(image, out);
  }
  return out;
}

}  // namespace ydistill
