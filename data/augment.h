// SPDX-License-Identifier: MIT
// The augmentations of YOLOv5's default recipe: mosaic, random affine, HSV, flips.
//
// A sample is a function of the random stream it is given and of the pictures, nothing else.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/image.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

struct AugmentOptions {
  double hsv_h = 0.015;  ///< hue, saturation and value are multiplied by 1 +- this
  double hsv_s = 0.7;
  double hsv_v = 0.4;
  double degrees = 0;      ///< rotation +- degrees
  double translate = 0.1;  ///< shift +- this fraction of the output
  double scale = 0.5;      ///< size 1 +- this
  double shear = 0;        ///< +- degrees along each axis
  double flipud = 0;       ///< probability
  double fliplr = 0.5;     ///< probability
  double mosaic = 1;       ///< probability of four pictures instead of one
};

/// throws ValueError naming the option: gains and angles are >= 0, scale < 1, shear < 90,
/// probabilities in 0..1.
void check_augment_options(const AugmentOptions& options);

/// An object in pixels of the picture at hand.
struct PixelLabel {
  int64_t class_id = 0;
  CornerBox box;
};

/// The label in fractions of a picture of this size, clipped to 1/1000 pixel inside its right and
/// lower border, as YOLOv5 hands targets to the loss.
Label fractions_of(const PixelLabel& label, int64_t width, int64_t height);

/// Output pixel = m * (x, y, 1) of an input pixel.
struct Affine {
  double m[2][3] = {{1, 0, 0}, {0, 1, 0}};
  double scale = 1;  ///< the drawn size factor, for keep_label
};

/// T S R C: the input's centre to the origin, rotate and scale, shear, then to the output's centre
/// +- translate. Draws six numbers.
Affine draw_affine(const AugmentOptions& options, Rng& rng, int64_t width, int64_t height,
                   int64_t out_width, int64_t out_height);

/// Bilinear, grey outside, with OpenCV's conventions: pixel centres at integers, positions rounded
/// to 1/32 pixel. output [out_height, out_width, 3]. A singular matrix gives grey.
void warp_affine(const Image& image, const Affine& affine, int64_t out_width, int64_t out_height,
                 uint8_t* output);

/// Boxes around the mapped corners, clipped to the output; those that keep_label refuses are left
/// out.
std::vector<PixelLabel> warp_labels(const std::vector<PixelLabel>& labels, const Affine& affine,
                                    int64_t out_width, int64_t out_height);

/// YOLOv5's rule: after the warp wider and higher than 2 px, more than 0.1 of the area that the
/// box had before (scaled by affine.scale), and no side a hundred times the other.
bool keep_label(const CornerBox& before, const CornerBox& after, double scale);

/// Multiplies hue (modulo 180), saturation and value by tables of 256 entries, in place; rgb holds
/// `pixels` triples. Draws nothing.
void shift_hsv(uint8_t* rgb, int64_t pixels, double hue_gain, double saturation_gain,
               double value_gain);

/// A picture at load_size, with its labels.
struct LoadedPicture {
  std::shared_ptr<const Image> image;  ///< null where only the plan is wanted: `size` counts then
  const std::vector<Label>* labels = nullptr;  ///< not null
  int64_t index = -1;                          ///< handed through to the plan
  PictureSize size = {};
};
/// Gives the picture of a dataset index.
using PictureSource = std::function<LoadedPicture(int64_t index)>;

/// A sample as drawn, still without pixels.
struct SamplePlan {
  int64_t image_size = 0;  ///< s
  /// Piece i shows pictures[i]; its address is null where that has no pixels.
  GatherSample gather{};
  struct Picture {
    int64_t index = -1;                  ///< LoadedPicture::index
    std::shared_ptr<const Image> image;  ///< keeps the piece's pixels
  };
  std::array<Picture, 4> pictures;
  std::vector<int64_t> steps;  ///< gather_steps, [4 s]
  std::vector<Label> labels;   ///< fractions of s
};

/// Draws one training sample: with probability `mosaic` four pictures around a random centre of a
/// 2s x 2s canvas and an affine cut of s x s from it, else one picture letterboxed to s x s and the
/// affine; then HSV and flips.
///   index       the sample's own picture
///   partners    dataset indices that the other three of a mosaic are drawn from, with replacement
///   image_size  s
/// throws ShapeError for a picture that is not at load size.
SamplePlan plan_training_sample(const AugmentOptions& options, int64_t index,
                                std::span<const int64_t> partners, const PictureSource& source,
                                int64_t image_size, Rng rng);

/// Makes the pixels on the CPU. output [s, s, 3], written whole. All pictures must have theirs.
void render_sample(const SamplePlan& plan, uint8_t* output);

}  // namespace ydistill
