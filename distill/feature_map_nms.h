// SPDX-License-Identifier: MIT
// FM-NMS: of neighbouring boxes of one class the teacher keeps the highest-scoring (Mehta and
// Ozturk, "Object detection at 200 frames per second", arXiv 1805.06361).
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// The objectness logit of a suppressed box: finite, with a sigmoid of practically 0.
inline constexpr double kSuppressedLogit = -100;

/// head      raw logits [N,H,W,A,5+C] of a teacher: float32, or on the CPU float64
/// returns   objectness logits [N,H,W,A], dtype and device of the head: the head's own, or
///           kSuppressedLogit for a box if any box of the same class (the largest class logit) in
///           the 3x3 cells around it, its own included, has a greater objectness; among equals the
///           first is kept. Boxes are compared by their original logits, suppressed or not.
/// throws    ShapeError, DTypeError
Tensor feature_map_nms(const Tensor& head);

namespace cuda {
/// classes: int64 [N,H,W,A], working memory. objectness receives the result.
void feature_map_nms(const Tensor& head, const Tensor& classes, const Tensor& objectness);
}  // namespace cuda

}  // namespace ydistill
