// SPDX-License-Identifier: MIT
#include <ydistill/distill/teacher.h>

#include <fmt/ranges.h>

namespace ydistill {

Teacher::Teacher(const Checkpoint& checkpoint, const Compute& compute,
                 const std::vector<int64_t>& student_classes)
    : model_(build_inference_model(checkpoint, compute)), class_names_(checkpoint.class_names) {
  if (student_classes.empty()) return;
  ClassParts parts(student_classes, compute.device);
  const int64_t known = checkpoint.spec.num_classes;
  if (parts.parts() > known) {
    throw ValueError("teacher: {} classes for the student, it knows {}", parts.parts(), known);
  }
  if (parts.classes() < known) parts_ = std::move(parts);
}

std::vector<Tensor> Teacher::logits(const Tensor& images, std::vector<Tensor>* features) {
  if (features != nullptr && model_->activations() == DType::kUInt8) {
    throw ValueError("teacher: in int8 it has no features");
  }
  const NoGrad no_grad;
  std::vector<Var> maps;
  std::vector<Tensor> heads;
  for (const Var& head : model_->forward(images, ForwardMode::kInference, {},
                                         features != nullptr ? &maps : nullptr)) {
    heads.push_back(parts_ ? restrict_classes(head.value(), *parts_) : head.value());
  }
  if (features != nullptr) {
    features->clear();
    for (const Var& map : maps) features->push_back(map.value());
  }
  return heads;
}

void check_teacher(const GraphSpec& student, const GraphSpec& teacher) {
  if (student.anchors.strides != teacher.anchors.strides) {
    throw ConfigError("teacher: its heads have strides {}, the student's {}",
                      fmt::join(teacher.anchors.strides, ", "),
                      fmt::join(student.anchors.strides, ", "));
  }
  if (student.training_stride() % teacher.max_stride() != 0) {
    throw ConfigError(
        "teacher: it takes pictures whose sides are multiples of {}, the student's are of {}",
        teacher.max_stride(), student.training_stride());
  }
  if (student.anchors_per_head() != teacher.anchors_per_head()) {
    throw ConfigError("teacher: its heads have {} anchors each, the student's {}",
                      teacher.anchors_per_head(), student.anchors_per_head());
  }
}

}  // namespace ydistill
