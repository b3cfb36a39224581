// SPDX-License-Identifier: MIT
#include <ydistill/distill/class_match.h>

#include <fmt/format.h>

#include <algorithm>

#include <ydistill/tensor/edit_distance.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

[[noreturn]] void refuse_unknown(const std::string& name, const std::vector<std::string>& student,
                                 const std::vector<std::string>& teacher, bool by_own_names) {
  const std::string near = fmt::format(
      "\"{}\" is the nearest of {}", printable(nearest_of(teacher, name)), printable_list(teacher));
  if (!by_own_names) {
    throw ConfigError("teacher.classes: the teacher knows no class \"{}\", {}", printable(name),
                      near);
  }
  throw ConfigError(
      "teacher: it knows no class \"{}\", {}; teacher.classes names one of the teacher's for each "
      "of the student's ({}), \"\" for one that it does not know",
      printable(name), near, printable_list(student));
}

int64_t class_of(const std::string& name, const std::vector<std::string>& student,
                 const std::vector<std::string>& teacher, bool by_own_names) {
  const auto first = std::find(teacher.begin(), teacher.end(), name);
  if (first == teacher.end()) refuse_unknown(name, student, teacher, by_own_names);
  if (std::find(first + 1, teacher.end(), name) != teacher.end()) {
    throw ConfigError("teacher: two of its classes are called \"{}\": which is meant?",
                      printable(name));
  }
  return first - teacher.begin();
}

void check_each_once(const ClassMatch& match, const std::vector<std::string>& teacher) {
  const std::vector<int64_t>& classes = match.teacher_class;
  for (const int64_t c : classes) {
    if (c == kNoClass || std::count(classes.begin(), classes.end(), c) == 1) continue;
    throw ConfigError("teacher: two of the student's classes would be its \"{}\"",
                      printable(teacher[size_t(c)]));
  }
}

ClassMatch by_own_names(const std::vector<std::string>& student,
                        const std::vector<std::string>& teacher) {
  ClassMatch match;
  match.teacher_classes = int64_t(teacher.size());
  for (size_t c = 0; c < student.size(); ++c) {
    if (student == teacher) {
      match.teacher_class.push_back(int64_t(c));
      continue;
    }
    if (is_stand_in_name(student[c])) {
      throw ConfigError(
          "teacher: the data does not say what class {} is, \"{}\" stands for a name; data.names "
          "gives them, or teacher.classes those of the teacher's that are meant: {}",
          c, student[c], printable_list(teacher));
    }
    match.teacher_class.push_back(class_of(student[c], student, teacher, /*by_own_names=*/true));
  }
  check_each_once(match, teacher);
  return match;
}

}  // namespace

bool ClassMatch::is_identity() const {
  for (size_t c = 0; c < teacher_class.size(); ++c) {
    if (teacher_class[c] != int64_t(c)) return false;
  }
  return int64_t(teacher_class.size()) == teacher_classes;
}

std::vector<int64_t> ClassMatch::known() const {
  std::vector<int64_t> result;
  for (size_t c = 0; c < teacher_class.size(); ++c) {
    if (teacher_class[c] != kNoClass) result.push_back(int64_t(c));
  }
  return result;
}

std::vector<int64_t> ClassMatch::others() const {
  std::vector<int64_t> result;
  for (int64_t c = 0; c < teacher_classes; ++c) {
    if (std::find(teacher_class.begin(), teacher_class.end(), c) == teacher_class.end()) {
      result.push_back(c);
    }
  }
  return result;
}

ClassMatch match_classes(const std::vector<std::string>& student,
                         const std::vector<std::string>& teacher,
                         const std::vector<std::string>& wanted) {
  if (wanted.empty()) return by_own_names(student, teacher);
  if (wanted.size() != student.size()) {
    throw ConfigError("teacher.classes: {} names for the student's {} classes ({}); one for each",
                      wanted.size(), student.size(), printable_list(student));
  }
  ClassMatch match;
  match.teacher_classes = int64_t(teacher.size());
  for (const std::string& name : wanted) {
    const int64_t c =
        name.empty() ? kNoClass : class_of(name, student, teacher, /*by_own_names=*/false);
    match.teacher_class.push_back(c);
  }
  check_each_once(match, teacher);
  if (match.known().empty()) {
    throw ConfigError("teacher.classes: the teacher knows none of the student's classes ({})",
                      printable_list(student));
  }
  return match;
}

Checkpoint with_student_classes_first(const Checkpoint& teacher, const ClassMatch& match,
                                      const std::vector<std::string>& student) {
  std::vector<int64_t> classes = match.teacher_class;
  std::vector<std::string> names = student;
  for (const int64_t c : match.others()) {
    classes.push_back(c);
    names.push_back(teacher.class_names[size_t(c)]);
  }
  return select_classes(teacher, classes, names);
}

std::string describe(const ClassMatch& match, const std::vector<std::string>& student,
                     const std::vector<std::string>& teacher) {
  if (match.is_identity()) return "";
  std::vector<std::string> shared, lacking;
  for (size_t c = 0; c < student.size(); ++c) {
    if (match.teacher_class[c] == kNoClass) {
      lacking.push_back(student[c]);
      continue;
    }
    const std::string& name = teacher[size_t(match.teacher_class[c])];
    shared.push_back(name == student[c] ? name : fmt::format("{} ({})", student[c], name));
  }
  return fmt::format("{} of its {} classes are the student's: {}{}", shared.size(),
                     match.teacher_classes, printable_list(shared),
                     lacking.empty() ? "" : "; it does not know " + printable_list(lacking));
}

}  // namespace ydistill
