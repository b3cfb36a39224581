// SPDX-License-Identifier: MIT
// YOLOv5's model files (models/*.yaml) as the JSON that graph.h reads (internal to graph.cpp).
#pragma once

#include <string>

namespace ydistill {

/// The same keys and lists. Python's True, False and None become JSON's values; quoted words stay
/// strings except "None". throws ValueError as "graph: line 7: what is wrong".
std::string graph_json_of_yaml(const std::string& text);

}  // namespace ydistill
