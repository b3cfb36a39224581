// SPDX-License-Identifier: MIT
// How training pictures are changed at random. The defaults are YOLOv5's.
#pragma once

namespace ydistill {

struct AugmentOptions {
  double hsv_h = 0.015;  ///< hue, saturation and value are multiplied by 1 +- this
  double hsv_s = 0.7;
  double hsv_v = 0.4;
  double degrees = 0;      ///< rotation +- degrees
  double translate = 0.1;  ///< shift +- this fraction of the output
  double scale = 0.5;      ///< size 1 +- this
  double shear = 0;        ///< +- degrees along each axis
  double perspective = 0;  ///< the divisor changes by +- this per pixel, along each axis
  double flipud = 0;       ///< probability
  double fliplr = 0.5;     ///< probability
  double mosaic = 1;       ///< probability of several pictures instead of one
  // The following apply to mosaics only.
  double mosaic9 = 0;     ///< share of mosaics that have nine pictures, not four
  double copy_paste = 0;  ///< share of the objects with outlines that are pasted again, mirrored
  double mixup = 0;       ///< probability of a second mosaic, blended with the first
};

/// throws ValueError naming the option: gains and angles are >= 0, scale < 1, shear < 90,
/// perspective at most 0.001, probabilities and shares in 0..1.
void check_augment_options(const AugmentOptions& options);

}  // namespace ydistill
