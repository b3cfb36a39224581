// SPDX-License-Identifier: MIT
// How a picture is laid into a network's input, as YOLOv5 does it, and how boxes go there and back.
//
// A letterbox is a plan: it is made from sizes alone, then applied to pixels and boxes. All grey is
// 114. Where the padding is odd, the pixels start at the smaller half while boxes are moved by the
// exact half, so that box and pixel are half an input pixel apart: YOLOv5 does so, and its mAP
// comes from it.
#pragma once

#include <cstdint>

#include <ydistill/data/image.h>
#include <ydistill/data/resize.h>

namespace ydistill {

inline constexpr uint8_t kPaddingGrey = 114;

/// Corners in pixels; which picture's is said where it is used.
struct CornerBox {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

struct Letterbox {
  double ratio_x = 1, ratio_y = 1;  ///< input pixels per picture pixel
  double pad_x = 0, pad_y = 0;      ///< what boxes are moved by, input pixels
  int64_t width = 0, height = 0;    ///< of the input

  int64_t picture_width = 0, picture_height = 0;
  int64_t left = 0, top = 0;                  ///< where the pixels start in the input
  int64_t inner_width = 0, inner_height = 0;  ///< size of the resized picture in the input
  Interpolation interpolation = Interpolation::kBilinear;
};

/// Width and height of a picture whose longer side is made `image_size`; the shorter is rounded up.
struct PictureSize {
  int64_t width = 0, height = 0;
};
PictureSize load_size(int64_t width, int64_t height, int64_t image_size);

/// For detection: the longer side becomes `image_size` (enlarging or shrinking, bilinear, sizes
/// rounded to the nearest), the other is padded to the next multiple of `stride`.
/// throws ValueError unless sizes are >= 1 and image_size is a multiple of stride.
Letterbox detection_letterbox(int64_t width, int64_t height, int64_t image_size,
                              int64_t stride = 32);

/// For validation: the longer side becomes `image_size` (load_size; averaging areas when it
/// shrinks, bilinear when it grows) and the result is laid into input_width x input_height,
/// centred. throws ValueError unless the result fits.
Letterbox validation_letterbox(int64_t width, int64_t height, int64_t image_size,
                               int64_t input_width, int64_t input_height);

/// Writes the input, [letterbox.height, letterbox.width, 3], row-major.
/// throws ShapeError if `image` is not the picture the plan was made for.
void apply_letterbox(const ImageView& image, const Letterbox& letterbox, uint8_t* input);
/// The same for a picture that already has the inner size.
/// throws ShapeError if it has not.
void place_in_letterbox(const ImageView& inner, const Letterbox& letterbox, uint8_t* input);

/// A box in pixels of the picture, in pixels of the input; not clipped.
CornerBox to_input(const Letterbox& letterbox, const CornerBox& box);
/// A box in pixels of the input, in pixels of the picture, clipped to the picture. Truth and
/// predictions go the same way (YOLOv5 clips both).
CornerBox to_picture(const Letterbox& letterbox, const CornerBox& box);

}  // namespace ydistill
