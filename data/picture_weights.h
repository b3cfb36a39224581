// SPDX-License-Identifier: MIT
// Sampling weights of pictures in training (YOLOv5's --image-weights).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

/// One per picture: the sum over its labels of (1 - class_map)^2 r, where r = 1 / (labels of the
/// class), scaled to a sum of 1 over the classes; a class without labels counts as having one. A
/// picture without labels has 0. class_map: AP by class id, 0..1; empty: all 0. All weights are 0
/// if every class has 1.
std::vector<double> picture_weights(const Dataset& dataset, std::span<const double> class_map);

/// Draws `count` of the indices, with replacement, in proportion to their weights; uniformly if all
/// weights are 0.
std::vector<int64_t> draw_by_weight(std::span<const int64_t> indices,
                                    std::span<const double> weights, int64_t count, Rng rng);

}  // namespace ydistill
