// SPDX-License-Identifier: MIT
// Placing a picture in a network's input, as YOLOv5 does, and converting boxes there and back.
//
// A letterbox is a plan: it is computed from sizes only, then applied to pixels and boxes. The
// padding is grey 114. If the padding is odd, the pixels start at the smaller half while boxes are
// shifted by the exact half, so that boxes and pixels differ by half an input pixel: YOLOv5 does
// the same, which affects its mAP.
#pragma once

#include <cstdint>

#include <ydistill/data/image.h>
#include <ydistill/data/resize.h>

namespace ydistill {

inline constexpr uint8_t kPaddingGrey = 114;

/// Corners in pixels, of the picture or the input: each use states which.
struct CornerBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

struct Letterbox {
  double ratio_x = 1, ratio_y = 1;  ///< input pixels per picture pixel
  double pad_x = 0, pad_y = 0;      ///< shift of boxes, input pixels
  int64_t width = 0, height = 0;    ///< of the input

  int64_t picture_width = 0, picture_height = 0;
  int64_t left = 0, top = 0;                  ///< where the pixels start in the input
  int64_t inner_width = 0, inner_height = 0;  ///< size of the resized picture in the input
  Interpolation interpolation = Interpolation::kBilinear;
};

struct PictureSize {
  int64_t width = 0, height = 0;
};
/// The size of a picture with its longer side scaled to `image_size`; the shorter is rounded up.
PictureSize load_size(int64_t width, int64_t height, int64_t image_size);

/// For detection: the longer side is scaled to `image_size` (up or down, bilinear, sizes rounded to
/// the nearest), the other is padded to the next multiple of `stride`.
/// throws ValueError unless sizes are >= 1 and image_size is a multiple of stride.
Letterbox detection_letterbox(int64_t width, int64_t height, int64_t image_size,
                              int64_t stride = 32);

/// For validation: the longer side is scaled to `image_size` (load_size; kArea when it shrinks,
/// kBilinear otherwise) and the result is centred in input_width x input_height. throws ValueError
/// unless it fits.
Letterbox validation_letterbox(int64_t width, int64_t height, int64_t image_size,
                               int64_t input_width, int64_t input_height);

/// Writes the input, [letterbox.height, letterbox.width, 3], row-major.
/// throws ShapeError if `image` does not have the size that the plan was made for.
void apply_letterbox(const ImageView& image, const Letterbox& letterbox, uint8_t* input);
/// The same for a picture that already has the inner size.
/// throws ShapeError if it has not.
void place_in_letterbox(const ImageView& inner, const Letterbox& letterbox, uint8_t* input);

/// Converts a box from pixels of the picture to pixels of the input; not clipped.
CornerBox to_input(const Letterbox& letterbox, const CornerBox& box);
/// Converts a box from pixels of the input to pixels of the picture, clipped to the picture. Truth
/// and predictions are both converted so (YOLOv5 clips both).
CornerBox to_picture(const Letterbox& letterbox, const CornerBox& box);

}  // namespace ydistill
