// SPDX-License-Identifier: MIT
// The GPU's part of NMS: removing the boxes whose objectness cannot pass.
#pragma once

#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill::cuda {

/// Boxes in CPU memory, in any order.
struct PassingBoxes {
  /// int64 [n]: picture index times boxes per picture, plus the box's index in its picture, in the
  /// order head, anchor, row, column.
  Tensor numbers;
  Tensor logits;  ///< float32 [n, 5+C]
};

/// The boxes of all pictures whose objectness logit is not below `threshold` or not finite.
PassingBoxes passing_boxes(const std::vector<Tensor>& heads, const std::vector<HeadDims>& dims,
                           float threshold);

}  // namespace ydistill::cuda
