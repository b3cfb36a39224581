// SPDX-License-Identifier: MIT
// A teacher's head as a student sees it that has some of its classes. The teacher's objectness
// tells of objects of every class that it was trained on; what is none of the student's is
// background to the student.
#pragma once

#include <cstdint>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// head      raw logits [N,H,W,A,5+D] of a teacher: float32, or on the CPU float64
/// classes   C, the student's, which come first; 1..D
/// returns   [N,H,W,A,5+C], dtype and device of the head. Box and class logits are the head's. So
///           is the objectness of a box whose surest class is one of the first C; of another box it
///           is the logit of sigmoid(objectness) sigmoid(s) / sigmoid(o), s the largest logit of
///           the first classes, o that of the others: the objectness times how much the box looks
///           like a class of the student's, beside the one that it is. With C = 1 of several it is
///           the logit of sigmoid(objectness) sigmoid(s) for every box: YOLOv5 trains no class
///           logit where there is one class, so the objectness alone is the student's score.
/// throws    ShapeError, DTypeError; ValueError for classes outside 1..D
Tensor restrict_classes(const Tensor& head, int64_t classes);

namespace cuda {
/// result [N,H,W,A,5+C] receives the result.
void restrict_classes(const Tensor& head, const Tensor& result);
}  // namespace cuda

}  // namespace ydistill
