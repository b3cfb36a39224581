// SPDX-License-Identifier: MIT
// The teacher: a frozen network whose logits the student learns from.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/distill/restrict_classes.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// Always in inference mode: running statistics, folded convolutions, nothing recorded, parameters
/// of its own. Training cannot change it.
class Teacher {
 public:
  /// compute: 8 bits run on the CPU and need a calibrated checkpoint; there are no features then.
  /// student_classes: how many of the checkpoint's classes, which come first, make up each student
  /// class (ClassParts); empty: the classes are the same. throws ValueError if the checkpoint lacks
  /// a weight, a class, or the calibration that 8 bits need.
  explicit Teacher(const Checkpoint& checkpoint, const Compute& compute = {},
                   const std::vector<int64_t>& student_classes = {});

  /// Raw logits of each scale, [N,H,W,A,5+C] float32, reduced to the student's classes
  /// (restrict_classes.h), for uint8 pictures [N,H,W,3]. features: if not null, receives the maps
  /// that the head reads, [N,H,W,C_k]. throws ValueError for features of a teacher in 8 bits.
  std::vector<Tensor> logits(const Tensor& images, std::vector<Tensor>* features = nullptr);

  const GraphSpec& spec() const { return model_->spec(); }
  const std::vector<std::string>& class_names() const { return class_names_; }
  /// The network itself, with all of its classes, for validation.
  Model& model() { return *model_; }

 private:
  std::unique_ptr<Model> model_;
  std::vector<std::string> class_names_;
  std::optional<ClassParts> parts_;  // set where the student's classes differ
};

/// Checks that a student can learn from a teacher, apart from the classes (class_match.h): the same
/// number of scales, strides and anchors per scale, picture sizes that both accept. Anchors of
/// other sizes are fine: they are rescaled. throws ConfigError naming both sides of the first
/// difference.
void check_teacher(const GraphSpec& student, const GraphSpec& teacher);

}  // namespace ydistill
