// SPDX-License-Identifier: MIT
// Samples of all kinds, for comparing ways to make their pixels.
#pragma once

#include <array>

#include <ydistill/data/augment.h>

#include "data/pictures.h"

namespace ydistill::test {

/// Options of case `i`: those of the recipe, each switched off or turned up in some cases.
inline AugmentOptions options_of_case(int64_t i) {
  AugmentOptions options;
  options.flipud = 0.5;
  if (i % 3 == 1) options.mosaic = 0;
  if (i % 4 == 2) options.degrees = 180;
  if (i % 5 == 3) options.shear = 60;  // maps that are nearly singular among them
  if (i % 5 == 1) options.scale = 0.95;
  if (i % 6 == 5) options.scale = options.translate = 0;
  if (i % 7 == 4) options.hsv_h = options.hsv_s = options.hsv_v = 0;
  if (i % 7 == 5) options.hsv_h = options.hsv_s = options.hsv_v = 1;
  if (i % 11 == 6) options.translate = 1;
  return options;
}

/// The same with what stands beside the default recipe, alone and together. Plans of one group of
/// eight share their room.
inline AugmentOptions full_options_of_case(int64_t i) {
  AugmentOptions options = options_of_case(i);
  const int64_t group = i / 8 % 8;
  if (group % 2 == 1) options.perspective = 0.001;
  if (group / 2 % 2 == 1) options.mixup = 0.7;
  if (group / 4 % 2 == 1) options.copy_paste = 0.6;
  options.mosaic9 = i % 2 == 0 ? 1 : 0;
  return options;
}

/// Six noise pictures at load size for this image size, 0 to 5.
struct NoisePictures {
  std::array<std::shared_ptr<const Image>, 6> images;
  std::array<std::vector<Label>, 6> labels;
  std::array<int64_t, 6> all{0, 1, 2, 3, 4, 5};

  explicit NoisePictures(int64_t image_size, bool outlined = false) {
    const std::array<std::pair<int64_t, int64_t>, 6> sizes{
        {{4, 3}, {1, 1}, {5, 8}, {9, 2}, {1, 60}, {16, 15}}};
    for (size_t i = 0; i < 6; ++i) {
      const PictureSize size = load_size(sizes[i].first, sizes[i].second, image_size);
      images[i] = std::make_shared<const Image>(noise(size.width, size.height, i));
      labels[i] = {{int64_t(i), 0.5, 0.4, 0.5, 0.6}, {0, 0.8, 0.2, 0.3, 0.2}};
      if (outlined) {
        labels[i][0].polygon = {{0.25f, 0.1f}, {0.75f, 0.2f}, {0.5f, 0.7f}};
        labels[i][1].polygon = {{0.65f, 0.1f}, {0.95f, 0.1f}, {0.9f, 0.3f}, {0.7f, 0.2f}};
      }
    }
  }
  PictureSource source() const {
    return [this](int64_t i) {
      return LoadedPicture{images[size_t(i)], &labels[size_t(i)], i, {}};
    };
  }
};

}  // namespace ydistill::test
