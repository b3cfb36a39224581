// SPDX-License-Identifier: MIT
// Batches of pictures of like shape, with little padding. Not for users: the loaders own it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/letterbox.h>

namespace ydistill {

/// The indices from the flattest picture to the narrowest; equal ones keep their order.
std::vector<int64_t> sorted_by_shape(const Dataset& dataset, std::vector<int64_t> indices);

/// The smallest input that holds these pictures, their longer sides made `image_size`: as low as
/// the highest allows where all are wider than high, as narrow as the widest allows where all are
/// higher than wide, else square; each side is ceil(share * image_size / stride + extra_strides)
/// strides.
PictureSize input_of_batch(const Dataset& dataset, std::span<const int64_t> indices,
                           int64_t image_size, int64_t stride, double extra_strides);

}  // namespace ydistill
