// SPDX-License-Identifier: MIT
#include <ydistill/data/class_merge.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include <ydistill/tensor/edit_distance.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

/// A class's name after the merges.
std::string merged_name(const std::string& name, const ClassMerges& merges) {
  for (const ClassMerge& merge : merges) {
    if (std::find(merge.of.begin(), merge.of.end(), name) != merge.of.end()) return merge.name;
  }
  return name;
}

const ClassMerge* find_merge(const std::string& name, const ClassMerges& merges) {
  const auto at = std::find_if(merges.begin(), merges.end(),
                               [&](const ClassMerge& merge) { return merge.name == name; });
  return at == merges.end() ? nullptr : &*at;
}

std::string without_blanks_around(const std::string& text) {
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

}  // namespace

void check_merges(const ClassMerges& merges) {
  std::map<std::string, std::string> owner;  // by class: name of its merge
  for (const ClassMerge& merge : merges) {
    const std::string shown = printable(merge.name, 40);
    if (merge.name.empty()) throw ValueError("a class without a name");
    if (find_merge(merge.name, merges) != &merge) throw ValueError("\"{}\" is given twice", shown);
    if (merge.of.empty()) throw ValueError("\"{}\" of no classes", shown);
    for (const std::string& name : merge.of) {
      if (name.empty()) throw ValueError("\"{}\" of a class without a name", shown);
      const std::string part = printable(name, 40);
      if (name != merge.name && find_merge(name, merges) != nullptr) {
        throw ValueError("\"{}\" is merged itself, it cannot be part of \"{}\"", part, shown);
      }
      const auto [at, is_new] = owner.emplace(name, merge.name);
      if (!is_new && at->second != merge.name) {
        throw ValueError("\"{}\" cannot be part of \"{}\" and of \"{}\"", part,
                         printable(at->second, 40), shown);
      }
    }
  }
}

void check_merges(const ClassMerges& merges, const std::vector<std::string>& names) {
  check_merges(merges);
  for (const ClassMerge& merge : merges) {
    for (const std::string& name : merge.of) {
      if (std::find(names.begin(), names.end(), name) != names.end()) continue;
      throw ValueError("there is no class \"{}\", the nearest is \"{}\"", printable(name, 40),
                       printable(nearest_of(names, name), 40));
    }
  }
}

ClassMerge parse_merge(const std::string& text) {
  const size_t equals = text.find('=');
  ClassMerge merge{without_blanks_around(text.substr(0, equals)), {}};
  if (equals == std::string::npos || merge.name.empty()) {
    throw ValueError("expected NAME=CLASS,CLASS like vehicle=car,bus, got \"{}\"",
                     printable(text, 40));
  }
  for (size_t begin = equals; begin != std::string::npos;) {
    const size_t end = text.find(',', begin + 1);
    const size_t count = end == std::string::npos ? end : end - begin - 1;
    merge.of.push_back(without_blanks_around(text.substr(begin + 1, count)));
    begin = end;
  }
  return merge;
}

MergedNames merged_names(const std::vector<std::string>& names, const ClassMerges& merges) {
  MergedNames merged;
  std::map<std::string, int64_t> id_of_merge;
  for (const std::string& before : names) {
    const std::string name = merged_name(before, merges);
    const int64_t next = int64_t(merged.names.size());
    const int64_t id =
        find_merge(name, merges) != nullptr ? id_of_merge.emplace(name, next).first->second : next;
    if (id == next) merged.names.push_back(name);
    merged.id_of.push_back(id);
  }
  return merged;
}

std::string describe_merges(const std::vector<std::string>& names, const ClassMerges& merges) {
  std::string text;
  for (const ClassMerge& merge : merges) {
    std::vector<std::string> parts;
    for (const std::string& name : names) {
      if (merged_name(name, merges) == merge.name) parts.push_back(name);
    }
    std::vector<std::string> missing;
    for (const std::string& name : merge.of) {
      if (std::find(names.begin(), names.end(), name) == names.end()) missing.push_back(name);
    }
    if (missing.empty() && parts == std::vector<std::string>{merge.name}) continue;
    text += fmt::format("{}\"{}\" is {}{}", text.empty() ? "" : "; ", printable(merge.name, 40),
                        parts.empty() ? "nothing here" : printable_list(parts),
                        missing.empty() ? "" : fmt::format(" (no {})", printable_list(missing)));
  }
  return text;
}

}  // namespace ydistill
