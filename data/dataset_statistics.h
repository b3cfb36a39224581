// SPDX-License-Identifier: MIT
// Statistics of a dataset.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill {

/// Minimum, lower quartile, median, upper quartile, maximum.
using Quantiles = std::array<double, 5>;

struct DatasetStatistics {
  struct Class {
    std::string name;
    int64_t labels = 0;
    int64_t pictures = 0;  ///< with at least one label of the class
  };

  int64_t pictures = 0;
  int64_t background = 0;  ///< annotated pictures without labels
  int64_t unlabelled = 0;  ///< pictures that were never annotated
  int64_t labels = 0;
  int64_t outlines = 0;        ///< labels with a polygon
  std::vector<Class> classes;  ///< by class id
  /// Boxes by area in picture pixels, as in COCO: small below 32 x 32, medium below 96 x 96.
  int64_t small = 0, medium = 0, large = 0;
  /// Sizes of boxes, as fractions of the picture, and of pictures, in pixels. All 0 if there are
  /// none.
  Quantiles box_width{}, box_height{};
  Quantiles picture_width{}, picture_height{};
};

DatasetStatistics statistics_of(const Dataset& dataset);

/// Quantiles are interpolated linearly between neighbours. {} for no values.
Quantiles quantiles_of(std::vector<double> values);

}  // namespace ydistill
