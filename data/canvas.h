// SPDX-License-Identifier: MIT
// The source of a training sample: one picture or a mosaic of four or nine, placed on a canvas that
// has pieces and objects but no pixels. Internal to augment.cpp.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/augment.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/warp.h>

namespace ydistill {

/// Not `Canvas`: the report has a type of that name, and two in one program violate the ODR.
struct SampleCanvas {
  int64_t width = 0, height = 0;
  GatherLayer layer{};  ///< pieces, and the mask's size where there is a mask
  SamplePlan::Pictures pictures;
  std::vector<PixelLabel> labels;
  std::vector<uint64_t> mask;  ///< GatherLayerData::mask; empty: none
};

/// One picture in the middle of a frame. Without outlines, as in YOLOv5.
/// throws ShapeError for a picture that is not at load size.
SampleCanvas single_canvas(int64_t index, const PictureSource& source, int64_t image_size,
                           const PictureSize& frame);

/// Four pictures that meet at a random point of a square of side 2 image_size, each cut at its
/// border. Random draws, in order: centre (y, x), three partners, their positions.
SampleCanvas mosaic_of_four(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng);

/// One picture at (s, s) of a square of side 3 s, s = image_size, with eight around it; then a
/// random crop of side 2 s. Random draws, in order: eight partners, their positions, the crop (y,
/// x).
SampleCanvas mosaic_of_nine(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng);

/// Pastes mirror images of a share of the outlined objects, as YOLOv5 does: an object is mirrored
/// with the whole canvas, so it lands on the other side; it is skipped if its box would cover 0.3
/// or more of any other's. The objects are drawn at random.
void copy_paste(SampleCanvas& canvas, double share, Rng& rng);

}  // namespace ydistill
