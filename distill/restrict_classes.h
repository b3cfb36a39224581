// SPDX-License-Identifier: MIT
// Reduces a teacher's head to the classes of a student that has only some of them, or several of
// them as one. The teacher's objectness covers objects of every class it was trained on; an object
// of none of the student's classes is background to the student.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Which teacher classes make up each student class: consecutive ones, from the first on.
class ClassParts {
 public:
  /// sizes: the number of teacher classes that make up each student class. device: where heads are
  /// stored. throws ValueError for a size below 1 and for no class at all.
  explicit ClassParts(const std::vector<int64_t>& sizes, Device device = Device::cpu());
  int64_t classes() const { return ends_.numel(); }  ///< C, the student's
  int64_t parts() const { return parts_; }           ///< teacher classes used: the sum of sizes
  /// int64 [C] on the device: the end of each class's part, exclusive.
  const Tensor& ends() const { return ends_; }

 private:
  Tensor ends_;
  int64_t parts_ = 0;
};

/// head      raw logits [N,H,W,A,5+D] of a teacher: float32, or on the CPU float64
/// parts     C student classes, made of the first S of the D teacher classes; on the head's device
/// returns   [N,H,W,A,5+C], dtype and device of the head. Box logits are the head's, a class logit
///           is the largest of its part. The objectness is the head's if the box's largest class
///           logit is among the first S. Otherwise it is the logit of
///           sigmoid(objectness) sigmoid(s) / sigmoid(o), s the largest logit of the first S
///           classes, o that of the others: the objectness times how well the box fits a student
///           class, relative to its best class. With C = 1 and S < D it is, for every box, the
///           logit of sigmoid(objectness) sigmoid(s): YOLOv5 trains no class logit where there is
///           one class, so the objectness alone is the student's score.
/// throws    ShapeError, DTypeError; DeviceError for parts elsewhere; ValueError for S > D
Tensor restrict_classes(const Tensor& head, const ClassParts& parts);

namespace cuda {
/// result [N,H,W,A,5+C] receives the result.
void restrict_classes(const Tensor& head, const ClassParts& parts, const Tensor& result);
}  // namespace cuda

}  // namespace ydistill
