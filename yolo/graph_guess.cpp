// SPDX-License-Identifier: MIT
#include <ydistill/yolo/graph_guess.h>

#include <fmt/ranges.h>

#include <algorithm>

#include <ydistill/tensor/error.h>
#include <ydistill/yolo/model.h>

namespace ydistill {
namespace {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

const Tensor* find(const NamedTensors& tensors, const std::string& name) {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const auto& entry) { return entry.first == name; });
  return at == tensors.end() ? nullptr : &at->second;
}

/// Whether every parameter outside the heads has a tensor with as many numbers.
bool fits(const NamedTensors& tensors, const GraphSpec& graph) {
  const Model model(graph);
  const ParameterStore& store = model.parameters();
  const std::string heads = fmt::format("model.{}.", graph.layers.size() - 1);
  for (int i = 0; i < store.num_parameters(); ++i) {
    if (store.name(i).starts_with(heads)) continue;
    const Tensor* tensor = find(tensors, store.name(i));
    if (tensor == nullptr || tensor->numel() != store.var(i).value().numel()) return false;
  }
  return true;
}

}  // namespace

int64_t guess_num_classes(const NamedTensors& tensors, const GraphSpec& graph) {
  const std::string name = fmt::format("model.{}.m.0.weight", graph.layers.size() - 1);
  const Tensor* head = find(tensors, name);
  if (head == nullptr || head->rank() < 1) return graph.num_classes;
  const int64_t anchors = graph.anchors_per_head();
  const int64_t classes = head->size(0) / anchors - 5;
  if (head->size(0) % anchors != 0 || classes < 1) {
    throw ValueError("{} has {} output channels, which is not {} anchors times (5 + classes)", name,
                     head->size(0), anchors);
  }
  return classes;
}

GraphSpec guess_graph(const NamedTensors& tensors) {
  const bool v5 = find(tensors, "model.0.conv.conv.weight") != nullptr;
  for (const std::string& name : graph_names()) {
    if (name.ends_with("-v5") != v5) continue;
    const GraphSpec graph = graph_by_name(name);
    // The first weight shows the width; only graphs of that width are built for the comparison.
    const Tensor* stem = find(tensors, v5 ? "model.0.conv.conv.weight" : "model.0.conv.weight");
    if (stem == nullptr || stem->rank() != 4 || stem->size(0) != graph.layers[0].out_channels)
      continue;
    if (fits(tensors, graph)) return graph.with_classes(guess_num_classes(tensors, graph));
  }
  throw ValueError(
      "the weights fit none of the known graphs ({}), and the file does not describe "
      "its own",
      fmt::join(graph_names(), ", "));
}

}  // namespace ydistill
