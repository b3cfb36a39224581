// SPDX-License-Identifier: MIT
#include <ydistill/data/batch_shape.h>

#include <algorithm>
#include <cmath>

#include <ydistill/data/letterbox.h>

namespace ydistill {
namespace {

double ratio_of(const Sample& sample) {
  return double(sample.height) / double(sample.width);
}

}  // namespace

std::vector<int64_t> sorted_by_shape(const Dataset& dataset, std::vector<int64_t> indices) {
  const std::vector<Sample>& samples = dataset.samples;
  std::stable_sort(indices.begin(), indices.end(), [&](int64_t a, int64_t b) {
    return ratio_of(samples[size_t(a)]) < ratio_of(samples[size_t(b)]);
  });
  return indices;
}

PictureSize input_of_batch(const Dataset& dataset, std::span<const int64_t> indices,
                           int64_t image_size, int64_t stride, double extra_strides) {
  double low = ratio_of(dataset.samples[size_t(indices.front())]), high = low;
  PictureSize loaded{0, 0};
  for (const int64_t index : indices) {
    const Sample& sample = dataset.samples[size_t(index)];
    const double ratio = ratio_of(sample);
    low = std::min(low, ratio);
    high = std::max(high, ratio);
    const PictureSize size = load_size(sample.width, sample.height, image_size);
    loaded = {std::max(loaded.width, size.width), std::max(loaded.height, size.height)};
  }
  const double height = high < 1 ? high : 1;
  const double width = low > 1 ? 1 / low : 1;
  // Rounding may make a picture one pixel larger than its ratio says.
  const auto whole_strides = [&](double side, int64_t at_least) {
    const double strides = side * double(image_size) / double(stride);
    const int64_t rounded = int64_t(std::ceil(strides + extra_strides)) * stride;
    return std::max(rounded, (at_least + stride - 1) / stride * stride);
  };
  return {whole_strides(width, loaded.width), whole_strides(height, loaded.height)};
}

}  // namespace ydistill
