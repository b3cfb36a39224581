// SPDX-License-Identifier: MIT
#include <ydistill/train/opened_teacher.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {

Compute teacher_compute(const Config& config, const Checkpoint& teacher, const Compute& student) {
  if (config.teacher->precision == TeacherConfig::Precision::kSame) return student;
  if (student.device.is_cuda()) {
    throw ConfigError(
        "teacher.precision: \"int8\" runs only on the CPU, but the student trains on {}; use "
        "\"same\"",
        student.device.str());
  }
  if (teacher.calibration.empty()) {
    throw ConfigError(
        "teacher.precision: \"int8\" needs calibrated weights, as `ydistill quantize` writes them; "
        "{} is not",
        printable(config.teacher->weights.string()));
  }
  if (feature_gain(config) > 0) {
    throw ConfigError(
        "teacher.precision: \"int8\" has no features to learn from; use distill.feature=0 or "
        "teacher.precision=same");
  }
  return {Device::cpu(), Precision::kInt8};
}

namespace {

/// Refuses a teacher that lacks student classes which the training needs. throws ConfigError.
void check_what_is_known(const Config& config, const ClassMatch& classes,
                         const std::vector<std::string>& names) {
  if (!classes.has_unknown()) return;
  const bool compares_classes = config.distill.gain * config.distill.cls > 0;
  if (trains_without_labels(config)) {
    std::vector<std::string> unknown;
    for (size_t c = 0; c < names.size(); ++c) {
      if (classes.made_of[c].empty()) unknown.push_back(names[c]);
    }
    throw ConfigError(
        "teacher.classes: the teacher does not know {}, and without data.train nothing would teach "
        "it; leave it out of data.names or give labels",
        printable_list(unknown));
  }
  const bool is_kl = config.distill.loss == DistillConfig::Loss::kKl;
  if (compares_classes && is_kl && classes.known().size() == 1) {
    throw ConfigError(
        "distill.loss: kl compares classes with each other, and the teacher knows only one of the "
        "student's; use l2 or bce");
  }
  const bool is_l2 = config.distill.loss == DistillConfig::Loss::kL2;
  if (compares_classes && is_l2 && classes.teacher_classes == 1) {
    throw ConfigError(
        "distill.loss: l2 learns class logits, and a teacher with a single class never trained its "
        "own; use bce or distill.cls=0");
  }
}

}  // namespace

ClassMatch match_teacher(const Config& config, const Checkpoint& teacher,
                         const std::vector<std::string>& names) {
  ClassMatch classes =
      match_classes(names, teacher.class_names, config.teacher->classes, config.data.merge);
  check_what_is_known(config, classes, names);
  return classes;
}

OpenedTeacher open_teacher(const Config& config, const Checkpoint& teacher, const Compute& compute,
                           const GraphSpec& student, const std::vector<std::string>& names,
                           const Say& say) {
  OpenedTeacher opened;
  opened.classes = match_teacher(config, teacher, names);
  check_teacher(student, teacher.spec);
  if (opened.classes.is_identity()) {
    opened.teacher = std::make_unique<Teacher>(teacher, compute);
    return opened;
  }
  say("teacher: " + describe(opened.classes, names, teacher.class_names));
  opened.teacher = std::make_unique<Teacher>(
      with_student_classes_first(teacher, opened.classes, names), compute, opened.classes.sizes());
  return opened;
}

}  // namespace ydistill
