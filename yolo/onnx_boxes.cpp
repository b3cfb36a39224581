// SPDX-License-Identifier: MIT
#include <ydistill/yolo/onnx_boxes.h>

#include <algorithm>
#include <limits>
#include <numeric>

namespace ydistill {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

/// Adds nodes with a common name prefix, and the small constants that they need.
class Scope {
 public:
  Scope(OnnxGraph& graph, std::string prefix) : graph_(graph), prefix_(std::move(prefix)) {}

  std::string node(const std::string& name, const std::string& op,
                   const std::vector<std::string>& inputs,
                   const std::vector<OnnxAttribute>& attributes = {}) {
    return graph_.add_node(prefix_ + name, op, inputs, attributes);
  }
  std::string floats(const std::string& name, const Ints& sizes, const Floats& values) {
    return graph_.add_constant(prefix_ + name, sizes, values);
  }
  std::string number(const std::string& name, float value) { return floats(name, {}, {value}); }
  std::string ints(const std::string& name, const Ints& values) {
    return graph_.add_constant(prefix_ + name, {int64_t(values.size())}, values);
  }
  std::string whole(const std::string& name, int64_t value) {
    return graph_.add_constant(prefix_ + name, {}, Ints{value});
  }
  std::string to_float(const std::string& name, const std::string& x) {
    return node(name, "Cast", {x}, {{"to", int64_t(OnnxType::kFloat)}});
  }
  /// Elements [begin, end) along an axis.
  std::string slice(const std::string& name, const std::string& x, int64_t axis, int64_t begin,
                    int64_t end) {
    return node(name, "Slice",
                {x, ints(name + ".begin", {begin}), ints(name + ".end", {end}),
                 ints(name + ".axis", {axis})});
  }

 private:
  OnnxGraph& graph_;
  std::string prefix_;
};

constexpr int64_t kToTheEnd = std::numeric_limits<int64_t>::max();

/// The offsets added to 2 sigmoid(tx) stride and 2 sigmoid(ty) stride: (cell - 0.5) stride, each
/// [1,1,cells,1].
struct Offsets {
  std::string x, y;
};

Offsets fixed_offsets(Scope& scope, const OnnxFeatureMap& head, double stride) {
  Floats x, y;
  for (int64_t row = 0; row < head.rows; ++row) {
    for (int64_t column = 0; column < head.columns; ++column) {
      x.push_back(float((double(column) - 0.5) * stride));
      y.push_back(float((double(row) - 0.5) * stride));
    }
  }
  const Ints shape{1, 1, head.rows * head.columns, 1};
  return {scope.floats("x.offset", shape, x), scope.floats("y.offset", shape, y)};
}

Offsets computed_offsets(Scope& scope, const std::string& head, double stride) {
  const std::string shape = scope.node("shape", "Shape", {head});
  const auto size = [&](const std::string& name, int64_t axis) {
    return scope.node(name, "Gather", {shape, scope.whole(name + ".axis", axis)});
  };
  const std::string rows = size("rows", 2), columns = size("columns", 3);
  const std::string cell = scope.node(
      "cell", "Range",
      {scope.whole("zero", 0), scope.node("cells", "Mul", {rows, columns}), scope.whole("one", 1)});
  const std::string row = scope.node("row", "Div", {cell, columns});  // rounds down
  const std::string column =
      scope.node("column", "Sub", {cell, scope.node("row.begin", "Mul", {row, columns})});
  const std::string factor = scope.number("stride", float(stride));
  const std::string middle = scope.number("half", 0.5f);
  const std::string along_cells = scope.ints("along_cells", {1, 1, -1, 1});
  const auto offset = [&](const std::string& axis, const std::string& index) {
    const std::string at =
        scope.node(axis + ".at", "Sub", {scope.to_float(axis + ".cell", index), middle});
    return scope.node(axis + ".offset", "Reshape",
                      {scope.node(axis + ".pixel", "Mul", {at, factor}), along_cells});
  };
  return {offset("x", column), offset("y", row)};
}

/// [N,A (5+C),H,W] -> [N,A H W,5+C]
//   cx = (2 sigmoid(tx) - 0.5 + column) stride     w = (2 sigmoid(tw))^2 anchor_w
std::string add_head_boxes(OnnxGraph& graph, const OnnxFeatureMap& head, const GraphSpec& spec,
                           size_t k) {
  Scope scope(graph, "boxes" + std::to_string(k) + ".");
  const int64_t anchors = spec.anchors_per_head(), width = 5 + spec.num_classes;
  const double stride = spec.anchors.strides[k];
  const std::string apart = scope.node(
      "apart", "Reshape", {head.name, scope.ints("apart.sizes", {0, anchors, width, -1})});
  const std::string cells =
      scope.node("cells_first", "Transpose", {apart}, {{"perm", Ints{0, 1, 3, 2}}});
  const std::string s = scope.node("sigmoid", "Sigmoid", {cells});  // [N,A,cells,5+C]

  const Offsets offsets = head.rows > 0 ? fixed_offsets(scope, head, stride)
                                        : computed_offsets(scope, head.name, stride);
  const std::string twice = scope.number("two_strides", float(2 * stride));
  const auto centre = [&](const std::string& name, int64_t at, const std::string& offset) {
    const std::string moved =
        scope.node(name + ".scaled", "Mul", {scope.slice(name + ".t", s, 3, at, at + 1), twice});
    return scope.node(name, "Add", {moved, offset});
  };
  Floats sides;
  for (const auto& wh : spec.anchors.wh_px[k]) {
    for (const double side : wh) sides.push_back(float(4 * side));
  }
  const std::string t = scope.slice("sides.t", s, 3, 2, 4);
  const std::string wh = scope.node("sides", "Mul",
                                    {scope.node("sides.squared", "Mul", {t, t}),
                                     scope.floats("sides.anchors", {1, anchors, 1, 2}, sides)});
  const std::string rows = scope.node("joined", "Concat",
                                      {centre("x", 0, offsets.x), centre("y", 1, offsets.y), wh,
                                       scope.slice("scores", s, 3, 4, width)},
                                      {{"axis", int64_t(3)}});
  return scope.node("flat", "Reshape", {rows, scope.ints("flat.sizes", {0, -1, width})});
}

}  // namespace

std::string add_onnx_boxes(OnnxGraph& graph, const std::vector<OnnxFeatureMap>& heads,
                           const GraphSpec& spec) {
  std::vector<std::string> boxes;
  for (size_t k = 0; k < heads.size(); ++k) {
    boxes.push_back(add_head_boxes(graph, heads[k], spec, k));
  }
  return graph.add_node("output0", "Concat", boxes, {{"axis", int64_t(1)}});
}

std::string add_onnx_detections(OnnxGraph& graph, const std::string& boxes, int64_t num_classes,
                                const NmsOptions& options) {
  Scope scope(graph, "nms.");
  // The score of a box's best class, and 0 for its others: [N,boxes,C], then [N,C,boxes]. Classes
  // are compared by index, so that a runtime's rounding of scores does not matter.
  const std::string scores = scope.node(
      "scores", "Mul",
      {scope.slice("classes", boxes, 2, 5, kToTheEnd), scope.slice("objectness", boxes, 2, 4, 5)});
  const std::string best =
      scope.node("best", "ArgMax", {scores}, {{"axis", int64_t(2)}, {"keepdims", int64_t(1)}});
  Ints classes(size_t(num_classes), 0);
  std::iota(classes.begin(), classes.end(), 0);
  const std::string is_best = scope.to_float(
      "is_best", scope.node("equals_best", "Equal", {best, scope.ints("class_numbers", classes)}));
  const std::string by_class =
      scope.node("by_class", "Transpose", {scope.node("best_alone", "Mul", {scores, is_best})},
                 {{"perm", Ints{0, 2, 1}}});

  // With 0 OpenVINO keeps only one box per class, even if the others do not overlap it.
  const float iou = std::max(float(options.iou), 1e-6f);
  const std::string centres = scope.slice("centres", boxes, 2, 0, 4);
  const std::string kept = scope.node(  // [n,3]: picture, class, box
      "kept", "NonMaxSuppression",
      {centres, by_class, scope.ints("max_det", {options.max_det}), scope.floats("iou", {1}, {iou}),
       scope.floats("conf", {1}, {float(options.conf)})},
      {{"center_point_box", int64_t(1)}});

  const std::string picture = scope.slice("picture", kept, 1, 0, 1);
  const std::string which = scope.node(
      "which", "Concat", {picture, scope.slice("box", kept, 1, 2, 3)}, {{"axis", int64_t(1)}});
  const std::string box = scope.node("kept_centres", "GatherND", {centres, which});  // [n,4]
  const std::string middle = scope.slice("middle", box, 1, 0, 2);
  const std::string half = scope.node(
      "half_sides", "Mul", {scope.slice("sides", box, 1, 2, 4), scope.number("half", 0.5f)});
  const std::string score = scope.node("score", "GatherND", {by_class, kept});  // [n]
  const std::string rows = scope.node(
      "rows", "Concat",
      {scope.to_float("picture.number", picture), scope.node("top_left", "Sub", {middle, half}),
       scope.node("bottom_right", "Add", {middle, half}),
       scope.node("score.column", "Reshape", {score, scope.ints("column", {-1, 1})}),
       scope.to_float("class.number", scope.slice("class", kept, 1, 1, 2))},
      {{"axis", int64_t(1)}});

  // Highest score first: min(n, N max_det) of them.
  const std::string found = scope.node("found", "Shape", {score});
  const std::string pictures =
      scope.slice("pictures", scope.node("boxes.shape", "Shape", {boxes}), 0, 0, 1);
  const std::string limit =
      scope.node("limit", "Mul", {pictures, scope.ints("limit.picture", {options.max_det})});
  const std::string fewest = scope.node("fewest", "Min", {found, limit});
  graph.add_node_with_outputs("nms.best_first", "TopK", {score, fewest},
                              {"nms.best_scores", "nms.order"}, {{"axis", int64_t(0)}});
  return graph.add_node("detections", "Gather", {rows, "nms.order"}, {{"axis", int64_t(0)}});
}

}  // namespace ydistill
