// SPDX-License-Identifier: MIT
// Opens a config's teacher and matches its classes to the student's.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <ydistill/distill/class_match.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/config.h>
#include <ydistill/train/say.h>

namespace ydistill {

/// The device and precision of a config's teacher. student: those of the student. throws
/// ConfigError if 8 bits are wanted and not possible.
Compute teacher_compute(const Config& config, const Checkpoint& teacher, const Compute& student);

/// names: the student's classes. throws ConfigError if the teacher's do not match, or if it knows
/// too few of them for what the config asks.
ClassMatch match_teacher(const Config& config, const Checkpoint& teacher,
                         const std::vector<std::string>& names);

struct OpenedTeacher {
  std::unique_ptr<Teacher> teacher;
  ClassMatch classes;  ///< how the student's match the teacher's
};
/// A config's teacher, with the student's classes first. compute: of teacher_compute. names: the
/// student's classes. If the teacher's classes differ, reports which of them are the student's.
/// throws as match_teacher, check_teacher and Teacher.
OpenedTeacher open_teacher(const Config& config, const Checkpoint& teacher, const Compute& compute,
                           const GraphSpec& student, const std::vector<std::string>& names,
                           const Say& say);

}  // namespace ydistill
