// SPDX-License-Identifier: MIT
// How well a network's anchors fit the boxes of a data set, and anchors that fit them better
// (YOLOv5 utils/autoanchor.py).
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include <ydistill/yolo/anchors.h>

namespace ydistill {

/// Width and height of a box in pixels of the network's input.
using BoxSize = std::array<double, 2>;

/// How well anchors match boxes. A pair's ratio is the smallest of w / aw, aw / w, h / ah, ah / h:
/// 1 for equal sizes. It matches above 1 / anchor_t, as in target assignment.
struct AnchorFit {
  double recall = 0;   ///< share of the boxes with a matching anchor: the best possible recall
  double matches = 0;  ///< mean number of anchors that match a box
  double fitness = 0;  ///< mean over boxes of the best anchor's ratio, 0 if it does not match
};
AnchorFit fit_of(const Anchors& anchors, std::span<const BoxSize> boxes, double anchor_t);

struct AutoanchorOptions {
  double anchor_t = 4;
  int64_t generations = 1000;
  uint64_t seed = 0;
};

/// As many anchors as `like` has, with its strides: k-means over the boxes' sizes, in units of
/// their standard deviation, then random changes that are kept if they raise the fitness. Small
/// anchors are assigned to small strides. Depends only on its arguments. Boxes below 2 px in both
/// width and height are left out; of more than 100000 boxes an evenly spaced selection is used.
/// throws ValueError for fewer boxes than anchors.
Anchors fitted_anchors(const Anchors& like, std::span<const BoxSize> boxes,
                       const AutoanchorOptions& options);

}  // namespace ydistill
