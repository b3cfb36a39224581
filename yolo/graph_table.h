// SPDX-License-Identifier: MIT
// The graphs of the public releases, as data (internal to graph.cpp).
#pragma once

#include <string>
#include <vector>

namespace ydistill {

struct NamedGraph {
  std::string name;
  std::string json;
};

std::vector<NamedGraph> release_graphs();

}  // namespace ydistill
