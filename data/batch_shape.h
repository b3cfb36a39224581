// SPDX-License-Identifier: MIT
// Batches of pictures of similar shape, with little padding. Internal to the loaders.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/letterbox.h>

namespace ydistill {

/// The indices sorted by rising height / width; the sort is stable.
std::vector<int64_t> sorted_by_shape(const Dataset& dataset, std::vector<int64_t> indices);

/// The smallest input that holds these pictures with their longer sides made `image_size`: if all
/// are wider than high, the height of the highest; if all are higher than wide, the width of the
/// widest; else square. Each side is ceil(share * image_size / stride + extra_strides) strides,
/// share being the side's fraction of image_size, and more where load_size() rounds a picture up.
PictureSize input_of_batch(const Dataset& dataset, std::span<const int64_t> indices,
                           int64_t image_size, int64_t stride, double extra_strides);

}  // namespace ydistill
