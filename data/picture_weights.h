// SPDX-License-Identifier: MIT
// How often a picture is wanted in training (YOLOv5's --image-weights).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

/// One a picture: the sum over its labels of (1 - class_map)^2 / (labels of the class), the latter
/// scaled to a sum of 1 over the classes, where a class without labels counts as one with one. A
/// picture without labels has 0. class_map: by class id, 0..1; empty: all 0. All 0 where every
/// class is perfect.
std::vector<double> picture_weights(const Dataset& dataset, std::span<const double> class_map);

/// `count` of the indices, with replacement, as often as their weights say; all alike where those
/// are 0.
std::vector<int64_t> draw_by_weight(std::span<const int64_t> indices,
                                    std::span<const double> weights, int64_t count, Rng rng);

}  // namespace ydistill
