// SPDX-License-Identifier: MIT
// Several classes that count as one: car, bus and truck as vehicle.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace ydistill {

struct ClassMerge {
  std::string name;             ///< the name of the merged class
  std::vector<std::string> of;  ///< the classes; one called `name` is included implicitly

  bool operator==(const ClassMerge&) const = default;
};
using ClassMerges = std::vector<ClassMerge>;

/// throws ValueError, naming the class, for a merge without a name or without classes, for two
/// merges of one name, for a merge that contains another merge, and for a class that is in two
/// merges.
void check_merges(const ClassMerges& merges);

/// The same, and for a class that is not in `names`, with the nearest name: a misspelt one would
/// otherwise silently not be merged.
void check_merges(const ClassMerges& merges, const std::vector<std::string>& names);

/// Parses "vehicle=car,bus"; blanks around names are ignored. throws ValueError for another form.
ClassMerge parse_merge(const std::string& text);

struct MergedNames {
  std::vector<std::string> names;  ///< a merge's name is at the position of its first class
  std::vector<int64_t> id_of;      ///< for each old class id, its index in `names`
};
/// merges: already checked. A merge none of whose classes exists has no effect. Unmerged classes of
/// the same name stay separate.
MergedNames merged_names(const std::vector<std::string>& names, const ClassMerges& merges);

/// What the merges do to classes of these names: `"vehicle" is car, bus (no truck)`. A merge
/// that changes nothing and lacks no class is left out.
std::string describe_merges(const std::vector<std::string>& names, const ClassMerges& merges);

}  // namespace ydistill
