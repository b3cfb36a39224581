// SPDX-License-Identifier: MIT
// A training sample the long way, as the reference for the gather: the canvas is made, warped,
// coloured and flipped, one after the other.
#pragma once

#include <ydistill/data/augment.h>

namespace ydistill::test {

/// Draws as plan_training_sample does and writes what render_sample then must write. Pictures have
/// pixels. Returns the labels.
std::vector<Label> canvas_sample(const AugmentOptions& options, int64_t index,
                                 std::span<const int64_t> partners, const PictureSource& source,
                                 int64_t image_size, Rng rng, uint8_t* output);

}  // namespace ydistill::test
