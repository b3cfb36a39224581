// SPDX-License-Identifier: MIT
// FM-NMS: of neighbouring boxes of one class the teacher keeps the surest (Mehta and Ozturk,
// "Object detection at 200 frames per second", arXiv 1805.06361).
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// The objectness logit of a box that is left out: its sigmoid is nothing, and it is finite.
inline constexpr double kSuppressedLogit = -100;

/// head      raw logits [N,H,W,A,5+C] of a teacher: float32, or on the CPU float64
/// returns   objectness logits [N,H,W,A], dtype and device of the head: the head's own, but
///           kSuppressedLogit for a box beside a surer one of the same class: one of the 3x3 cells
///           around it, its own included, has a box whose largest class is the same and whose
///           objectness is greater; of equal ones the first stays. Every box is compared with all
///           others as they are, left out or not.
/// throws    ShapeError, DTypeError
Tensor feature_map_nms(const Tensor& head);

namespace cuda {
/// classes: int64 [N,H,W,A], working memory. objectness receives the result.
void feature_map_nms(const Tensor& head, const Tensor& classes, const Tensor& objectness);
}  // namespace cuda

}  // namespace ydistill
