// SPDX-License-Identifier: MIT
#include <ydistill/distill/class_match.h>

#include <fmt/ranges.h>

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

void check_each_once(const std::vector<int64_t>& classes, const std::vector<std::string>& teacher) {
  for (const int64_t c : classes) {
    if (c == kNoClass || std::count(classes.begin(), classes.end(), c) == 1) continue;
    throw ConfigError("teacher: two of the student's classes would be its \"{}\"",
                      printable(teacher[size_t(c)]));
  }
}

/// For each student class, the index of its name among the teacher's.
std::vector<int64_t> by_own_names(const std::vector<std::string>& student,
                                  const std::vector<std::string>& teacher) {
  std::vector<int64_t> classes;
  for (size_t c = 0; c < student.size(); ++c) {
    if (student == teacher) {
      classes.push_back(int64_t(c));
      continue;
    }
    if (is_stand_in_name(student[c])) {
      throw ConfigError(
          "teacher: the data has no name for class {}, called \"{}\" here; give data.names, or in "
          "teacher.classes the matching classes of the teacher, which has {}",
          c, student[c], printable_list(teacher));
    }
    classes.push_back(class_of(student[c], student, teacher, /*by_own_names=*/true));
  }
  return classes;
}

/// The same for the wanted names; kNoClass for "".
std::vector<int64_t> by_wanted_names(const std::vector<std::string>& student,
                                     const std::vector<std::string>& teacher,
                                     const std::vector<std::string>& wanted) {
  if (wanted.size() != student.size()) {
    throw ConfigError(
        "teacher.classes: {} names for the student's {} classes ({}); give one for each",
        wanted.size(), student.size(), printable_list(student));
  }
  std::vector<int64_t> classes;
  for (const std::string& name : wanted) {
    classes.push_back(name.empty() ? kNoClass
                                   : class_of(name, student, teacher, /*by_own_names=*/false));
  }
  return classes;
}

}  // namespace

bool ClassMatch::is_identity() const {
  for (size_t c = 0; c < made_of.size(); ++c) {
    if (made_of[c] != std::vector<int64_t>{int64_t(c)}) return false;
  }
  return int64_t(made_of.size()) == teacher_classes;
}

std::vector<int64_t> ClassMatch::known() const {
  std::vector<int64_t> result;
  for (size_t c = 0; c < made_of.size(); ++c) {
    if (!made_of[c].empty()) result.push_back(int64_t(c));
  }
  return result;
}

std::vector<int64_t> ClassMatch::others() const {
  std::vector<int64_t> result;
  for (int64_t c = 0; c < teacher_classes; ++c) {
    const bool is_known = std::any_of(made_of.begin(), made_of.end(), [&](const auto& parts) {
      return std::find(parts.begin(), parts.end(), c) != parts.end();
    });
    if (!is_known) result.push_back(c);
  }
  return result;
}

std::vector<int64_t> ClassMatch::sizes() const {
  std::vector<int64_t> result;  // an unknown class has one of its own there
  for (const auto& parts : made_of) result.push_back(std::max<int64_t>(1, int64_t(parts.size())));
  return result;
}

std::vector<int64_t> ClassMatch::student_class() const {
  std::vector<int64_t> result;
  const std::vector<int64_t> counts = sizes();
  for (size_t c = 0; c < counts.size(); ++c) {
    result.insert(result.end(), size_t(counts[c]), int64_t(c));
  }
  result.insert(result.end(), others().size(), int64_t(made_of.size()));
  return result;
}

ClassMatch match_classes(const std::vector<std::string>& student,
                         const std::vector<std::string>& teacher,
                         const std::vector<std::string>& wanted, const ClassMerges& merges) {
  const MergedNames merged = merged_names(teacher, merges);
  for (const std::string& name : wanted) {
    const auto at = std::find(teacher.begin(), teacher.end(), name);
    if (at == teacher.end()) continue;
    const std::string& as = merged.names[size_t(merged.id_of[size_t(at - teacher.begin())])];
    if (as == name) continue;
    throw ConfigError("teacher.classes: the teacher's \"{}\" is merged into \"{}\" by data.merge",
                      printable(name), printable(as));
  }
  const std::vector<int64_t> classes = wanted.empty()
                                           ? by_own_names(student, merged.names)
                                           : by_wanted_names(student, merged.names, wanted);
  check_each_once(classes, merged.names);
  ClassMatch match;
  match.teacher_classes = int64_t(teacher.size());
  for (const int64_t wanted_class : classes) {
    std::vector<int64_t>& parts = match.made_of.emplace_back();
    for (size_t c = 0; c < teacher.size(); ++c) {
      if (merged.id_of[c] == wanted_class) parts.push_back(int64_t(c));
    }
  }
  if (match.known().empty()) {
    throw ConfigError("teacher.classes: the teacher knows none of the student's classes ({})",
                      printable_list(student));
  }
  return match;
}

Checkpoint with_student_classes_first(const Checkpoint& teacher, const ClassMatch& match,
                                      const std::vector<std::string>& student) {
  std::vector<int64_t> classes;
  std::vector<std::string> names;
  const auto add = [&](int64_t c, const std::string& name) {
    classes.push_back(c);
    names.push_back(name);
  };
  for (size_t c = 0; c < student.size(); ++c) {
    if (match.made_of[c].empty()) add(kNoClass, student[c]);
    for (const int64_t part : match.made_of[c]) add(part, teacher.class_names[size_t(part)]);
  }
  for (const int64_t c : match.others()) add(c, teacher.class_names[size_t(c)]);
  return select_classes(teacher, classes, names);
}

std::string describe(const ClassMatch& match, const std::vector<std::string>& student,
                     const std::vector<std::string>& teacher) {
  if (match.is_identity()) return "";
  std::vector<std::string> shared, lacking;
  for (size_t c = 0; c < student.size(); ++c) {
    std::vector<std::string> names;
    for (const int64_t part : match.made_of[c]) names.push_back(teacher[size_t(part)]);
    if (names.empty()) {
      lacking.push_back(student[c]);
    } else {
      const bool is_same = names == std::vector<std::string>{student[c]};
      shared.push_back(is_same ? student[c]
                               : fmt::format("{} ({})", student[c], fmt::join(names, ", ")));
    }
  }
  return fmt::format("{} of its {} classes are the student's: {}{}",
                     match.teacher_classes - int64_t(match.others().size()), match.teacher_classes,
                     printable_list(shared),
                     lacking.empty() ? "" : "; it does not know " + printable_list(lacking));
}

}  // namespace ydistill
