// SPDX-License-Identifier: MIT
#include <ydistill/distill/class_match.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

constexpr size_t kMostShown = 200;  // characters of a list of names

std::string shown(const std::vector<std::string>& names) {
  return printable(fmt::format("{}", fmt::join(names, ", ")), kMostShown);
}

std::string lower(std::string text) {
  for (char& c : text) c = char(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

[[noreturn]] void refuse_unknown(const std::string& name, const std::vector<std::string>& student,
                                 const std::vector<std::string>& teacher, bool by_own_names) {
  std::string near;
  for (const std::string& other : teacher) {
    if (lower(other) == lower(name)) near = fmt::format(", but \"{}\"", printable(other));
  }
  if (near.empty()) near = fmt::format("; its classes: {}", shown(teacher));
  if (!by_own_names) {
    throw ConfigError("teacher.classes: the teacher knows no class \"{}\"{}", printable(name),
                      near);
  }
  throw ConfigError(
      "teacher: it knows no class \"{}\"{}; teacher.classes names one of the teacher's for each of "
      "the student's ({}), \"\" for one that it does not know",
      printable(name), near, shown(student));
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
          c, student[c], shown(teacher));
    }
    match.teacher_class.push_back(class_of(student[c], student, teacher, /*by_own_names=*/true));
  }
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
                      wanted.size(), student.size(), shown(student));
  }
  ClassMatch match;
  match.teacher_classes = int64_t(teacher.size());
  for (const std::string& name : wanted) {
    const int64_t c =
        name.empty() ? kNoClass : class_of(name, student, teacher, /*by_own_names=*/false);
    const std::vector<int64_t>& taken = match.teacher_class;
    if (c != kNoClass && std::find(taken.begin(), taken.end(), c) != taken.end()) {
      throw ConfigError("teacher.classes: \"{}\" stands there twice", printable(name));
    }
    match.teacher_class.push_back(c);
  }
  if (match.known().empty()) {
    throw ConfigError("teacher.classes: the teacher knows none of the student's classes ({})",
                      shown(student));
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
                     match.teacher_classes, shown(shared),
                     lacking.empty() ? "" : "; it does not know " + shown(lacking));
}

}  // namespace ydistill
