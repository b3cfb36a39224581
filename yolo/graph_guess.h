// SPDX-License-Identifier: MIT
// Which released graph a bare list of weights belongs to.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// Compares names and shapes of the backbone with every released graph; the number of classes
/// comes from the heads. throws ValueError if none fits.
GraphSpec guess_graph(const std::vector<std::pair<std::string, Tensor>>& tensors);

/// Classes of the heads' weights, given a graph; the graph's own number where the heads are absent.
/// throws ValueError where channels and anchors do not fit.
int64_t guess_num_classes(const std::vector<std::pair<std::string, Tensor>>& tensors,
                          const GraphSpec& graph);

}  // namespace ydistill
