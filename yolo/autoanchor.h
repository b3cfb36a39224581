// SPDX-License-Identifier: MIT
// Whether a network's anchors suit the boxes of a data set, and anchors that suit them better
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
  double matches = 0;  ///< anchors that match a box, on average
  double fitness = 0;  ///< mean over boxes of the best anchor's ratio, 0 where that does not match
};
AnchorFit fit_of(const Anchors& anchors, std::span<const BoxSize> boxes, double anchor_t);

struct AutoanchorOptions {
  double anchor_t = 4;
  int64_t generations = 1000;
  uint64_t seed = 0;
};

/// As many anchors as `like` has, with its strides: k-means over the boxes' sizes, in units of
/// their spread, then random changes that are kept where they raise the fitness. Small anchors go
/// to the small strides. A function of its arguments alone. Boxes below 2 px in width and height
/// are left out, and of more than 100000 boxes an even selection is used. throws ValueError for
/// fewer boxes than anchors.
Anchors fitted_anchors(const Anchors& like, std::span<const BoxSize> boxes,
                       const AutoanchorOptions& options);

}  // namespace ydistill
