// SPDX-License-Identifier: MIT
// How sure a teacher is that there is an object of the classes that its head has. Its objectness
// alone tells of objects of every class that it was trained on; those that are not the student's
// are background to the student.
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// head      raw logits [N,H,W,A,5+C] of a teacher: float32, or on the CPU float64
/// returns   objectness logits [N,H,W,A], dtype and device of the head, of the score of a box's
///           surest class: sigmoid(returned) = sigmoid(objectness) sigmoid(largest class logit)
/// throws    ShapeError, DTypeError
Tensor objectness_of_classes(const Tensor& head);

namespace cuda {
/// objectness [N,H,W,A] receives the result.
void objectness_of_classes(const Tensor& head, const Tensor& objectness);
}  // namespace cuda

}  // namespace ydistill
