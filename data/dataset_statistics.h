// SPDX-License-Identifier: MIT
// What a dataset looks like in numbers.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill {

/// Least, lower quartile, median, upper quartile, most.
using Quantiles = std::array<double, 5>;

struct DatasetStatistics {
  struct Class {
    std::string name;
    int64_t labels = 0;
    int64_t pictures = 0;  ///< with at least one label of the class
  };

  int64_t pictures = 0;
  int64_t background = 0;  ///< pictures looked at, with nothing on them
  int64_t unlabelled = 0;  ///< pictures nobody has looked at
  int64_t labels = 0;
  int64_t outlines = 0;        ///< labels with a polygon
  std::vector<Class> classes;  ///< by class id
  /// Boxes by area in pixels of the picture as COCO divides them: below 32 x 32, below 96 x 96.
  int64_t small = 0, medium = 0, large = 0;
  /// Of boxes, as fractions of the picture, and of pictures in pixels. All zero without any.
  Quantiles box_width{}, box_height{};
  Quantiles picture_width{}, picture_height{};
};

DatasetStatistics statistics_of(const Dataset& dataset);

/// Between neighbours the quantiles are interpolated. {} for no values.
Quantiles quantiles_of(std::vector<double> values);

}  // namespace ydistill
