// SPDX-License-Identifier: MIT
// A teacher's head as a student sees it that has some of its classes, or several of them as one.
// The teacher's objectness tells of objects of every class that it was trained on; what is none of
// the student's is background to the student.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Of which of a teacher's classes a student's are made: of the first ones, one after the other.
class ClassParts {
 public:
  /// sizes: of how many each of the student's classes is made. device: where heads live. throws
  /// ValueError for a size below 1 and for no class at all.
  explicit ClassParts(const std::vector<int64_t>& sizes, Device device = Device::cpu());
  int64_t classes() const { return ends_.numel(); }  ///< C, the student's
  int64_t parts() const { return parts_; }           ///< of the teacher's, the sum of the sizes
  /// int64 [C] on the device: where the part of each class ends.
  const Tensor& ends() const { return ends_; }

 private:
  Tensor ends_;
  int64_t parts_ = 0;
};

/// head      raw logits [N,H,W,A,5+D] of a teacher: float32, or on the CPU float64
/// parts     C classes of the student's, made of the first S of the D; on the head's device
/// returns   [N,H,W,A,5+C], dtype and device of the head. Box logits are the head's, a class logit
///           is the largest of its part. The objectness is the head's in a box whose surest class
///           is one of the first S; in another it is the logit of
///           sigmoid(objectness) sigmoid(s) / sigmoid(o), s the largest logit of the first S
///           classes, o that of the others: the objectness times how much the box looks like a
///           class of the student's, beside the one that it is. With C = 1 and others it is the
///           logit of sigmoid(objectness) sigmoid(s) for every box: YOLOv5 trains no class logit
///           where there is one class, so the objectness alone is the student's score.
/// throws    ShapeError, DTypeError; DeviceError for parts elsewhere; ValueError for S > D
Tensor restrict_classes(const Tensor& head, const ClassParts& parts);

namespace cuda {
/// result [N,H,W,A,5+C] receives the result.
void restrict_classes(const Tensor& head, const ClassParts& parts, const Tensor& result);
}  // namespace cuda

}  // namespace ydistill
