// SPDX-License-Identifier: MIT
#include <ydistill/data/batch_shape.h>

#include <algorithm>
#include <cmath>

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
  for (const int64_t index : indices) {
    const double ratio = ratio_of(dataset.samples[size_t(index)]);
    low = std::min(low, ratio);
    high = std::max(high, ratio);
  }
  const double height = high < 1 ? high : 1;
  const double width = low > 1 ? 1 / low : 1;
  const auto whole_strides = [&](double side) {
    const double strides = side * double(image_size) / double(stride);
    return int64_t(std::ceil(strides + extra_strides)) * stride;
  };
  return {whole_strides(width), whole_strides(height)};
}

}  // namespace ydistill
