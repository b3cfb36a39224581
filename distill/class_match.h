// SPDX-License-Identifier: MIT
// How a student's classes match a teacher's. The teacher may know more classes, in another order
// and under other names; several of them may be one of the student's, and some of the student's may
// be unknown to it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/yolo/select_classes.h>

namespace ydistill {

struct ClassMatch {
  /// For each student class, the teacher's classes that it is made of; empty if the teacher does
  /// not know it.
  std::vector<std::vector<int64_t>> made_of;
  int64_t teacher_classes = 0;  ///< the number of classes that the teacher knows

  /// True if both have the same classes in the same order.
  bool is_identity() const;
  /// The teacher's classes that belong to none of the student's, ascending.
  std::vector<int64_t> others() const;
  /// The student's classes that the teacher knows, ascending.
  std::vector<int64_t> known() const;
  bool has_unknown() const { return known().size() < made_of.size(); }
  /// In with_student_classes_first(): how many classes make up each of the student's; 1 if unknown.
  std::vector<int64_t> sizes() const;
  /// And the student class of each of its classes; for the others, the number of student classes.
  std::vector<int64_t> student_class() const;
};

/// Matches classes by name; the teacher's names are those after the merges. wanted: empty, or for
/// each student class the name of the teacher's, "" for one that the teacher does not know. throws
/// ConfigError naming the class: for a name that the teacher does not know or has twice, for a
/// wanted name that a merge replaces, for a teacher class that is wanted twice; for another number
/// of names; where no class is known; and for the stand-in names class0, class1, ..., unless both
/// have the same names or `wanted` is given.
ClassMatch match_classes(const std::vector<std::string>& student,
                         const std::vector<std::string>& teacher,
                         const std::vector<std::string>& wanted = {},
                         const ClassMerges& merges = {});

/// A teacher's checkpoint with the student's classes first, in the student's order, followed by its
/// other classes: what Teacher takes. match: of these two. throws ValueError as select_classes.
Checkpoint with_student_classes_first(const Checkpoint& teacher, const ClassMatch& match,
                                      const std::vector<std::string>& student);

/// "2 of its 80 classes are the student's: person, car; it does not know helmet", or "".
std::string describe(const ClassMatch& match, const std::vector<std::string>& student,
                     const std::vector<std::string>& teacher);

}  // namespace ydistill
