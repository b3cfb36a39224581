// SPDX-License-Identifier: MIT
// A student's classes among a teacher's: the teacher may know more, in another order, by other
// names, several for one of the student's, and not all of the student's.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/yolo/select_classes.h>

namespace ydistill {

struct ClassMatch {
  /// For each of the student's classes those of the teacher's that it is; none: the teacher does
  /// not know it.
  std::vector<std::vector<int64_t>> made_of;
  int64_t teacher_classes = 0;  ///< how many the teacher knows

  /// The same classes in the same order.
  bool is_identity() const;
  /// The teacher's classes that are none of the student's, ascending.
  std::vector<int64_t> others() const;
  /// The student's classes that the teacher knows, ascending.
  std::vector<int64_t> known() const;
  bool has_unknown() const { return known().size() < made_of.size(); }
  /// In with_student_classes_first(): of how many of its classes each of the student's is made.
  std::vector<int64_t> sizes() const;
  /// And which of the student's each of its classes is; the number of the student's for others.
  std::vector<int64_t> student_class() const;
};

/// By their names, those of the teacher after the merges. wanted: empty, or for each of the
/// student's classes the name of the teacher's, "" for one that the teacher does not know.
/// throws ConfigError naming the class for a name that the teacher does not know or has twice, for
/// a class of the teacher that is wanted twice, another number of names or none at all; and for
/// class0, class1, ..., which stand for no names, unless both have the same or `wanted` is given.
ClassMatch match_classes(const std::vector<std::string>& student,
                         const std::vector<std::string>& teacher,
                         const std::vector<std::string>& wanted = {},
                         const ClassMerges& merges = {});

/// A teacher's checkpoint with the student's classes first, in the student's order, and its others
/// behind them: what Teacher takes. match: of these two. throws ValueError as select_classes.
Checkpoint with_student_classes_first(const Checkpoint& teacher, const ClassMatch& match,
                                      const std::vector<std::string>& student);

/// "2 of its 80 classes are the student's: person, car; it does not know helmet", or "".
std::string describe(const ClassMatch& match, const std::vector<std::string>& student,
                     const std::vector<std::string>& teacher);

}  // namespace ydistill
