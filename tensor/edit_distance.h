// SPDX-License-Identifier: MIT
// Edit distance between names, for messages that suggest the nearest name.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <string>
#include <string_view>
#include <vector>

namespace ydistill {

/// Levenshtein distance: the minimum number of insertions, deletions and changes of single bytes
/// that turn `a` into `b`.
inline size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> line(b.size() + 1);  // distances of a's prefix to each prefix of b
  std::iota(line.begin(), line.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = line[0];
    line[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = line[j];
      line[j] = std::min({line[j] + 1, line[j - 1] + 1, change});
    }
  }
  return line[b.size()];
}

/// The one of `known` with the smallest distance from `word`, the first of several. known: at least
/// one.
inline const std::string& nearest_of(const std::vector<std::string>& known, std::string_view word) {
  return *std::min_element(known.begin(), known.end(), [&](const auto& a, const auto& b) {
    return edit_distance(a, word) < edit_distance(b, word);
  });
}

}  // namespace ydistill
