// SPDX-License-Identifier: MIT
// Resizing 8-bit pictures as OpenCV's INTER_LINEAR and INTER_AREA do, so that a network sees what
// it saw in YOLOv5. Pixel centres lie at half integers: sample = (x + 0.5) * source / target - 0.5.
#pragma once

#include <cstdint>

#include <ydistill/data/image.h>

namespace ydistill {

enum class Interpolation {
  kBilinear,  ///< two samples an axis, weights in 1/2048, also when shrinking; a shrink by exactly
              ///< two on both axes averages 2x2, as in OpenCV
  kArea,      ///< each target pixel averages the area it covers; for shrinking only
};

/// The picture at another size; a copy where the size is the same. Runs on the calling thread.
/// throws ValueError for a size below 1, or for kArea with a target larger than the source.
Image resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation);

}  // namespace ydistill
