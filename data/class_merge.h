// SPDX-License-Identifier: MIT
// Several classes that count as one: car, bus and truck as vehicle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ydistill {

struct ClassMerge {
  std::string name;             ///< what they are called together
  std::vector<std::string> of;  ///< which; a class called `name` is one of them anyhow

  bool operator==(const ClassMerge&) const = default;
};
using ClassMerges = std::vector<ClassMerge>;

/// throws ValueError naming the class for a merge without a name or without classes, one of a class
/// that is merged itself, and for a class that two merges have.
void check_merges(const ClassMerges& merges);

/// The same, and for a class that is none of `names`, saying which is nearest: one that is misspelt
/// would go on by itself.
void check_merges(const ClassMerges& merges, const std::vector<std::string>& names);

/// "vehicle=car,bus" as it is typed; blanks around names do not count. throws ValueError for
/// another form.
ClassMerge parse_merge(const std::string& text);

struct MergedNames {
  std::vector<std::string> names;  ///< each merge's name where the first of its classes stood
  std::vector<int64_t> id_of;      ///< of each class before: its place among `names`
};
/// merges: checked. Merges of which no class is there do nothing. Classes of one name that are not
/// merged stay apart.
MergedNames merged_names(const std::vector<std::string>& names, const ClassMerges& merges);

/// What the merges do to classes of these names: `"vehicle" is car, bus (no truck)`. "" where all
/// stay, as one that is called vehicle already.
std::string describe_merges(const std::vector<std::string>& names, const ClassMerges& merges);

}  // namespace ydistill
