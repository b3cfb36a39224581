// SPDX-License-Identifier: MIT
#include <ydistill/yolo/export_onnx.h>

#include <fmt/format.h>

#include <ydistill/yolo/onnx_boxes.h>
#include <ydistill/yolo/onnx_modules.h>

namespace ydistill {
namespace {

void check(const GraphSpec& spec, const OnnxOptions& o) {
  const int64_t stride = spec.max_stride();
  if (o.batch < 1) throw ValueError("ONNX: batch is {}, must be at least 1", o.batch);
  for (const int64_t side : {o.height, o.width}) {
    if (o.shapes == OnnxShapes::kFixed && (side < stride || side % stride != 0)) {
      throw ValueError("ONNX: height and width must be multiples of {}, got {} x {}", stride,
                       o.height, o.width);
    }
  }
  check_nms_options(o.nms, spec.num_classes);
  if (!o.nms.classes.empty() || !o.nms.found_as.empty()) {
    throw ValueError("ONNX: a choice of classes cannot be exported");
  }
}

/// A number where it is fixed, else the name.
std::variant<int64_t, std::string> size_or_name(const OnnxOptions& o, int64_t size,
                                                const std::string& name) {
  if (o.shapes == OnnxShapes::kDynamic) return name;
  return size;
}

std::string as_type(OnnxGraph& graph, OnnxType type, const std::string& name,
                    const std::string& x) {
  return graph.add_node(name, "Cast", {x}, {{"to", int64_t(type)}});
}

/// Type of the values between operators.
OnnxType between(const OnnxOptions& o) {
  return o.precision == OnnxType::kFloat16 ? o.precision : OnnxType::kFloat;
}

/// The picture as [N,3,H,W], 0 to 1, in the network's precision.
std::string add_picture(OnnxGraph& graph, const OnnxOptions& o) {
  using Ints = std::vector<int64_t>;
  const auto n = size_or_name(o, o.batch, "batch");
  const auto h = size_or_name(o, o.height, "height"), w = size_or_name(o, o.width, "width");
  if (o.input == OnnxInput::kFloats) {
    const std::string x = graph.add_input("images", OnnxType::kFloat, {n, int64_t(3), h, w});
    return between(o) == OnnxType::kFloat ? x : as_type(graph, between(o), "images.half", x);
  }
  const std::string bytes = graph.add_input("images", OnnxType::kUInt8, {n, h, w, int64_t(3)});
  const std::string planes = graph.add_node("images.planes", "Transpose",
                                            {as_type(graph, between(o), "images.numbers", bytes)},
                                            {{"perm", Ints{0, 3, 1, 2}}});
  const std::string divisor =
      graph.add_constant("images.largest", {}, std::vector<float>{255}, between(o));
  return graph.add_node("images.scaled", "Div", {planes, divisor});
}

/// Adds every module before Detect; returns the inputs of Detect.
std::vector<OnnxFeatureMap> add_modules(OnnxModules& modules, const GraphSpec& spec,
                                        const OnnxFeatureMap& picture) {
  std::vector<OnnxFeatureMap> outputs;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    std::vector<OnnxFeatureMap> inputs;
    for (const int from : layer.from) inputs.push_back(from < 0 ? picture : outputs[size_t(from)]);
    if (layer.type == LayerType::kDetect) return inputs;
    outputs.push_back(modules.add(fmt::format("model.{}", i), layer, inputs));
  }
  throw ValueError("ONNX: the graph {} has no Detect", spec.name);
}

/// {0: 'person', 1: ...}, as a Python program prints it and YOLOv5 reads it.
std::string python_dict(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < names.size(); ++i) {
    text += fmt::format("{}{}: '", i > 0 ? ", " : "", i);
    for (const char c : names[i]) {
      if (c == '\'' || c == '\\') text += '\\';
      if (uint8_t(c) < 0x20) {
        text += fmt::format("\\x{:02x}", uint8_t(c));
      } else {
        text += c;
      }
    }
    text += '\'';
  }
  return "{" + text + "}";
}

}  // namespace

std::string encode_onnx(const Checkpoint& checkpoint, const OnnxOptions& o,
                        const std::string& producer_version) {
  const GraphSpec& spec = checkpoint.spec;
  check(spec, o);
  // Through a model, which checks that every weight exists and has the right shape.
  const NamedTensors weights = export_weights(*build_model(checkpoint));
  OnnxGraph graph(spec.name, o.precision == OnnxType::kInt8 ? 13 : 12);
  OnnxModules modules(graph, weights, o.precision, checkpoint.calibration);
  OnnxFeatureMap picture{modules.add_picture(add_picture(graph, o))};
  if (o.shapes == OnnxShapes::kFixed) {
    picture.rows = o.height;
    picture.columns = o.width;
  }
  const std::vector<OnnxFeatureMap> detect_inputs = add_modules(modules, spec, picture);

  const auto n = size_or_name(o, o.batch, "batch");
  const int64_t width = 5 + spec.num_classes;
  std::vector<OnnxFeatureMap> heads;
  int64_t boxes = 0;
  for (size_t k = 0; k < detect_inputs.size(); ++k) {
    OnnxFeatureMap head =
        modules.add_head(fmt::format("model.{}.m.{}", spec.layers.size() - 1, k), detect_inputs[k]);
    if (between(o) != OnnxType::kFloat) {
      head.name = as_type(graph, OnnxType::kFloat, head.name + ".float", head.name);
    }
    heads.push_back(head);
    boxes += head.rows * head.columns * spec.anchors_per_head();
    if (o.output == OnnxOutput::kLogits) {
      const std::string out = graph.add_node(fmt::format("logits{}", k), "Identity", {head.name});
      graph.add_output(
          out, OnnxType::kFloat,
          {n, spec.anchors_per_head() * width, size_or_name(o, head.rows, fmt::format("rows{}", k)),
           size_or_name(o, head.columns, fmt::format("columns{}", k))});
    }
  }
  if (o.output != OnnxOutput::kLogits) {
    const std::string decoded = add_onnx_boxes(graph, heads, spec);
    if (o.output == OnnxOutput::kBoxes) {
      graph.add_output(decoded, OnnxType::kFloat, {n, size_or_name(o, boxes, "boxes"), width});
    } else {
      graph.add_output(add_onnx_detections(graph, decoded, spec.num_classes, o.nms),
                       OnnxType::kFloat, {"found", int64_t(7)});
    }
  }
  return graph.encode(producer_version, {{"stride", std::to_string(spec.max_stride())},
                                         {"names", python_dict(checkpoint.class_names)},
                                         {"graph", spec.name}});
}

}  // namespace ydistill
