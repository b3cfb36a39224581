// SPDX-License-Identifier: MIT
#include <ydistill/data/class_merge.h>

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

/// What a class is called after the merges.
std::string merged_name(const std::string& name, const ClassMerges& merges) {
  for (const ClassMerge& merge : merges) {
    if (std::find(merge.of.begin(), merge.of.end(), name) != merge.of.end()) return merge.name;
  }
  return name;
}

bool is_merge(const std::string& name, const ClassMerges& merges) {
  return std::any_of(merges.begin(), merges.end(),
                     [&](const ClassMerge& merge) { return merge.name == name; });
}

}  // namespace

void check_merges(const ClassMerges& merges) {
  std::map<std::string, std::string> owner;  // by class: the merge that has it
  const auto claim = [&](const std::string& name, const ClassMerge& merge) {
    const auto [at, is_new] = owner.emplace(name, merge.name);
    if (is_new || at->second == merge.name) return;
    throw ValueError("\"{}\" cannot be part of \"{}\" and of \"{}\"", printable(name, 40),
                     printable(at->second, 40), printable(merge.name, 40));
  };
  for (size_t i = 0; i < merges.size(); ++i) {
    const ClassMerge& merge = merges[i];
    if (merge.name.empty()) throw ValueError("a class without a name");
    if (is_merge(merge.name, {merges.begin(), merges.begin() + int64_t(i)})) {
      throw ValueError("\"{}\" is given twice", printable(merge.name, 40));
    }
    if (merge.of.empty()) throw ValueError("\"{}\" of no classes", printable(merge.name, 40));
    claim(merge.name, merge);
    for (const std::string& name : merge.of) {
      if (name.empty()) {
        throw ValueError("\"{}\" of a class without a name", printable(merge.name, 40));
      }
      claim(name, merge);
    }
  }
}

MergedNames merged_names(const std::vector<std::string>& names, const ClassMerges& merges) {
  MergedNames merged;
  std::map<std::string, int64_t> id_of_merge;
  for (const std::string& before : names) {
    const std::string name = merged_name(before, merges);
    const int64_t next = int64_t(merged.names.size());
    const int64_t id =
        is_merge(name, merges) ? id_of_merge.emplace(name, next).first->second : next;
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
    const bool changes = !parts.empty() && parts != std::vector<std::string>{merge.name};
    if (!changes) continue;
    std::vector<std::string> missing;
    for (const std::string& name : merge.of) {
      if (std::find(names.begin(), names.end(), name) == names.end()) missing.push_back(name);
    }
    text += fmt::format("{}\"{}\" is {}{}", text.empty() ? "" : "; ", printable(merge.name, 40),
                        printable_list(parts),
                        missing.empty() ? "" : fmt::format(" (no {})", printable_list(missing)));
  }
  return text;
}

}  // namespace ydistill
