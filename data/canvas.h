// SPDX-License-Identifier: MIT
// What a training sample is cut from: one picture or a mosaic of four or nine, laid on a canvas
// that has pieces and objects but no pixels. Not for users: augment.cpp draws with it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/augment.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/warp.h>

namespace ydistill {

/// Not `Canvas`: that is the report's, and both in one program would share their destructor.
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

/// Four pictures that meet at a random point of a square of 2 image_size, each cut where it leaves
/// it. Draws: centre (y, x), three partners, their places.
SampleCanvas mosaic_of_four(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng);

/// Nine pictures around one at (s, s) of a square of 3 s, s = image_size, and from that a random
/// cut of 2 s. Draws: eight partners, their places, the cut (y, x).
SampleCanvas mosaic_of_nine(int64_t index, std::span<const int64_t> partners,
                            const PictureSource& source, int64_t image_size, Rng& rng);

/// Pastes mirror images of `share` of the outlined objects, as YOLOv5 does it: an object is
/// mirrored with the whole canvas, so it lands on the other side; left out where its box would
/// cover 0.3 or more of another's. Draws which.
void copy_paste(SampleCanvas& canvas, double share, Rng& rng);

}  // namespace ydistill
