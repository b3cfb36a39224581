// SPDX-License-Identifier: MIT
// Finds the released graph that a bare list of weights belongs to.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// Compares names and sizes of the weights outside the heads with every released graph; the number
/// of classes comes from the heads. throws ValueError if none fits.
GraphSpec guess_graph(const std::vector<std::pair<std::string, Tensor>>& tensors);

/// Number of classes from the heads' weights; the graph's own number if the heads are absent.
/// throws ValueError if channels and anchors do not agree.
int64_t guess_num_classes(const std::vector<std::pair<std::string, Tensor>>& tensors,
                          const GraphSpec& graph);

}  // namespace ydistill
