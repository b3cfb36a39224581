// SPDX-License-Identifier: MIT
// The part of NMS that a GPU does: leaving out the boxes that cannot pass.
#pragma once

#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill::cuda {

/// Boxes in the CPU's memory, in any order.
struct PassingBoxes {
  /// int64 [n]: picture times boxes of a picture, plus the box's number in its picture: head,
  /// anchor, row, column.
  Tensor numbers;
  Tensor logits;  ///< float32 [n, 5+C]
};

/// The boxes of all pictures whose objectness logit is not below `threshold` or not finite.
PassingBoxes passing_boxes(const std::vector<Tensor>& heads, const std::vector<HeadDims>& dims,
                           float threshold);

}  // namespace ydistill::cuda
