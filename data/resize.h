// SPDX-License-Identifier: MIT
// Resizing 8-bit pictures as OpenCV's INTER_LINEAR and INTER_AREA do, so that a network gets the
// same input as in YOLOv5. Pixel centres are at half integers: sample = (x + 0.5) * source / target
// - 0.5.
#pragma once

#include <cstdint>

#include <ydistill/data/image.h>

namespace ydistill {

enum class Interpolation {
  kBilinear,  ///< two samples per axis, weights in 1/2048, also when shrinking; shrinking by
              ///< exactly 2 on both axes averages 2x2, as in OpenCV
  kArea,      ///< each target pixel averages the area it covers; for shrinking only
};

/// The picture at another size; a copy if the size is the same. Runs on the calling thread.
/// throws ValueError for a size below 1, or for kArea with a target larger than the source.
Image resize(const ImageView& image, int64_t width, int64_t height, Interpolation interpolation);

}  // namespace ydistill
