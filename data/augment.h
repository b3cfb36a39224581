// SPDX-License-Identifier: MIT
// Training samples by YOLOv5's recipe: mosaic of four or nine, copy-paste, random affine or
// projective map, mixup, HSV, flips.
//
// A sample depends only on its random stream and on the pictures.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include <ydistill/data/augment_options.h>
#include <ydistill/data/dataset.h>
#include <ydistill/data/gather_math.h>
#include <ydistill/data/image.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/data/warp.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

/// The label as fractions of a picture of this size. Corners are first clipped to the picture,
/// 1/1000 pixel inside its right and lower border, as YOLOv5 does for targets of the loss.
Label fractions_of(const PixelLabel& label, int64_t width, int64_t height);

/// Multiplies hue (modulo 180), saturation and value by these gains, in place, through tables of
/// 256 entries. rgb holds `pixels` triples. Uses no random numbers.
void shift_hsv(uint8_t* rgb, int64_t pixels, double hue_gain, double saturation_gain,
               double value_gain);

/// A picture at load_size, with its labels.
struct LoadedPicture {
  std::shared_ptr<const Image> image;  ///< null if only the plan is wanted; `size` is then used
  const std::vector<Label>* labels = nullptr;  ///< not null
  int64_t index = -1;                          ///< dataset index, copied to the plan
  PictureSize size = {};
};
/// Gives the picture of a dataset index.
using PictureSource = std::function<LoadedPicture(int64_t index)>;

/// The sizes of a sample.
struct SampleFrame {
  int64_t image_size = 0;  ///< s: pictures have the load_size for it
  PictureSize frame;       ///< area that a single picture is placed in; mosaics are s x s
  PictureSize output;      ///< size that the frame is stretched to, in the same gather

  /// The usual square sample; implicit, so that a single number can be passed.
  SampleFrame(int64_t size) : SampleFrame(size, {size, size}) {}
  SampleFrame(int64_t size, PictureSize wanted) : SampleFrame(size, wanted, wanted) {}
  SampleFrame(int64_t size, PictureSize wanted, PictureSize stretched_to)
      : image_size(size), frame(wanted), output(stretched_to) {}
};

/// Upper bounds for all plans under the same options, so that all have the same size when packed.
struct PlanRoom {
  int32_t layers = 1;
  bool is_projective = false;
  bool has_mask = false;
  int64_t image_size = 0;  ///< s: a mask covers 2 s x 2 s
  bool operator==(const PlanRoom&) const = default;
};
PlanRoom plan_room(const AugmentOptions& options, int64_t image_size);

/// A sample after all random draws, but without pixels.
struct SamplePlan {
  int64_t width = 0, height = 0;  ///< of the output
  GatherSample gather{};          ///< a piece's rgb is null where its picture has no pixels
  struct Picture {
    int64_t index = -1;                  ///< LoadedPicture::index
    std::shared_ptr<const Image> image;  ///< keeps the piece's pixels alive
  };
  using Pictures = std::array<Picture, kMaxPieces>;
  /// Data of gather.layers[i].
  struct Layer {
    Pictures pictures;           ///< piece i shows pictures[i]
    std::vector<int64_t> steps;  ///< GatherLayerData::steps
    std::vector<uint64_t> mask;  ///< GatherLayerData::mask; empty: none
  };
  std::array<Layer, kMaxLayers> layers;
  PlanRoom room;
  std::vector<Label> labels;  ///< fractions of the output
};

/// Draws one training sample.
/// With probability `mosaic`: four pictures (nine in a share mosaic9 of the mosaics) on a canvas of
/// 2s x 2s, copy-paste, then a random map to s x s; with probability `mixup` a second such mosaic
/// is blended in. Otherwise: one picture in the middle of the frame, and the map. Then HSV and
/// flips.
///   index       the sample's own picture
///   partners    dataset indices that the others are drawn from, with replacement
/// throws ShapeError for a picture that does not have the load_size, or for a frame other than s x
/// s with options.mosaic above 0.
SamplePlan plan_training_sample(const AugmentOptions& options, int64_t index,
                                std::span<const int64_t> partners, const PictureSource& source,
                                const SampleFrame& frame, Rng rng);

/// Computes the pixels on the CPU. output [height, width, 3], every pixel is written. All pictures
/// of the plan must have pixels.
void render_sample(const SamplePlan& plan, uint8_t* output);

/// Draws from Beta(32, 32) as the median of 63 uniform numbers: exact and equal on all machines.
double draw_mixup_share(Rng& rng);

}  // namespace ydistill
