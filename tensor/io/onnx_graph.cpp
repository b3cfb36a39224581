// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/onnx_graph.h>

#include <cmath>
#include <limits>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/half.h>

namespace ydistill {
namespace {

constexpr int kIrVersion = 7;

// Field numbers of onnx.proto's messages.
namespace model_field {
constexpr int kIrVersion = 1, kProducerName = 2, kProducerVersion = 3, kGraph = 7, kOperatorSet = 8,
              kMetadata = 14;
}
namespace graph_field {
constexpr int kNode = 1, kName = 2, kConstant = 5, kInput = 11, kOutput = 12;
}
namespace node_field {
constexpr int kInput = 1, kOutput = 2, kName = 3, kOperator = 4, kAttribute = 5;
}
namespace attribute_field {
constexpr int kName = 1, kFloat = 2, kInt = 3, kString = 4, kInts = 8, kType = 20;
}
namespace tensor_field {
constexpr int kSize = 1, kType = 2, kName = 8, kRawData = 9;
}

/// Values of AttributeProto.AttributeType.
enum class AttributeType { kFloat = 1, kInt = 2, kString = 3, kInts = 7 };

ProtobufMessage encode_attribute(const OnnxAttribute& attribute) {
  ProtobufMessage message;
  message.add(attribute_field::kName, attribute.name);
  AttributeType type = AttributeType::kInts;
  if (const auto* i = std::get_if<int64_t>(&attribute.value)) {
    message.add(attribute_field::kInt, *i);
    type = AttributeType::kInt;
  } else if (const auto* f = std::get_if<float>(&attribute.value)) {
    message.add(attribute_field::kFloat, *f);
    type = AttributeType::kFloat;
  } else if (const auto* s = std::get_if<std::string>(&attribute.value)) {
    message.add(attribute_field::kString, *s);
    type = AttributeType::kString;
  } else {
    for (const int64_t i : std::get<std::vector<int64_t>>(attribute.value)) {
      message.add(attribute_field::kInts, i);
    }
  }
  message.add(attribute_field::kType, int(type));
  return message;
}

/// ValueInfoProto { name 1, type 2 { tensor 1 { type 1, shape 2 { dim 1 { value 1, name 2 }}}}}
ProtobufMessage encode_value(const std::string& name, OnnxType type, const OnnxSizes& sizes) {
  ProtobufMessage shape;
  for (const auto& size : sizes) {
    ProtobufMessage dim;
    if (const auto* known = std::get_if<int64_t>(&size)) {
      dim.add(1, *known);
    } else {
      dim.add(2, std::get<std::string>(size));
    }
    shape.add(1, dim);
  }
  ProtobufMessage tensor;
  tensor.add(1, int(type));
  tensor.add(2, shape);
  ProtobufMessage type_message;
  type_message.add(1, tensor);
  ProtobufMessage value;
  value.add(1, name);
  value.add(2, type_message);
  return value;
}

}  // namespace

OnnxGraph::OnnxGraph(const std::string& name, int operator_set) : operator_set_(operator_set) {
  graph_.add(graph_field::kName, name);
}

void OnnxGraph::take_name(const std::string& name) {
  if (!values_.insert(name).second) throw ValueError("ONNX graph: two values called {}", name);
}

void OnnxGraph::require_values(const std::string& node,
                               const std::vector<std::string>& inputs) const {
  for (const std::string& input : inputs) {
    if (values_.count(input) == 0) {
      throw ValueError("ONNX graph: {} uses {}, which is not there", node, input);
    }
  }
}

std::string OnnxGraph::add_input(const std::string& name, OnnxType type, const OnnxSizes& sizes) {
  take_name(name);
  graph_.add(graph_field::kInput, encode_value(name, type, sizes));
  return name;
}

void OnnxGraph::add_output(const std::string& name, OnnxType type, const OnnxSizes& sizes) {
  require_values("the graph's output", {name});
  graph_.add(graph_field::kOutput, encode_value(name, type, sizes));
}

ProtobufMessage OnnxGraph::begin_constant(const std::string& name,
                                          const std::vector<int64_t>& sizes, size_t num_values,
                                          OnnxType type) {
  take_name(name);
  int64_t wanted = 1;
  ProtobufMessage tensor;
  for (const int64_t size : sizes) {
    wanted *= size;
    tensor.add(tensor_field::kSize, size);
  }
  if (wanted != int64_t(num_values)) {
    throw ValueError("ONNX graph: constant {}: {} numbers for {}", name, num_values, wanted);
  }
  tensor.add(tensor_field::kType, int(type));
  tensor.add(tensor_field::kName, name);
  return tensor;
}

std::string OnnxGraph::add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                                    std::span<const float> values, OnnxType as) {
  ProtobufMessage tensor = begin_constant(name, sizes, values.size(), as);
  std::string bytes;
  bytes.reserve(values.size() * sizeof(float));
  for (const float value : values) {
    if (as == OnnxType::kFloat16) {
      const uint16_t half = float_to_half(value);
      if (!std::isfinite(half_to_float(half)) && std::isfinite(value)) {
        throw ValueError("ONNX graph: constant {}: {} is too large for float16", name, value);
      }
      append_little_endian(bytes, half);
    } else {
      append_little_endian(bytes, std::bit_cast<uint32_t>(value));
    }
  }
  tensor.add(tensor_field::kRawData, bytes);
  graph_.add(graph_field::kConstant, tensor);
  return name;
}

std::string OnnxGraph::add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                                    std::span<const int64_t> values) {
  ProtobufMessage tensor = begin_constant(name, sizes, values.size(), OnnxType::kInt64);
  std::string bytes;
  for (const int64_t value : values) append_little_endian(bytes, uint64_t(value));
  tensor.add(tensor_field::kRawData, bytes);
  graph_.add(graph_field::kConstant, tensor);
  return name;
}

std::string OnnxGraph::add_bytes(const std::string& name, const std::vector<int64_t>& sizes,
                                 OnnxType type, const std::string& bytes) {
  ProtobufMessage tensor = begin_constant(name, sizes, bytes.size(), type);
  tensor.add(tensor_field::kRawData, bytes);
  graph_.add(graph_field::kConstant, tensor);
  return name;
}

std::string OnnxGraph::add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                                    std::span<const int8_t> values) {
  return add_bytes(name, sizes, OnnxType::kInt8, {values.begin(), values.end()});
}

std::string OnnxGraph::add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                                    std::span<const uint8_t> values) {
  return add_bytes(name, sizes, OnnxType::kUInt8, {values.begin(), values.end()});
}

std::string OnnxGraph::add_node(const std::string& name, const std::string& op,
                                const std::vector<std::string>& inputs,
                                const std::vector<OnnxAttribute>& attributes) {
  add_node_with_outputs(name, op, inputs, {name}, attributes);
  return name;
}

void OnnxGraph::add_node_with_outputs(const std::string& name, const std::string& op,
                                      const std::vector<std::string>& inputs,
                                      const std::vector<std::string>& outputs,
                                      const std::vector<OnnxAttribute>& attributes) {
  require_values(name, inputs);
  ProtobufMessage node;
  for (const std::string& input : inputs) node.add(node_field::kInput, input);
  for (const std::string& output : outputs) {
    take_name(output);
    node.add(node_field::kOutput, output);
  }
  node.add(node_field::kName, name);
  node.add(node_field::kOperator, op);
  for (const OnnxAttribute& attribute : attributes) {
    node.add(node_field::kAttribute, encode_attribute(attribute));
  }
  graph_.add(graph_field::kNode, node);
}

std::string OnnxGraph::encode(
    const std::string& producer_version,
    const std::vector<std::pair<std::string, std::string>>& metadata) const {
  ProtobufMessage model;
  model.add(model_field::kIrVersion, kIrVersion);
  model.add(model_field::kProducerName, "ydistill");
  model.add(model_field::kProducerVersion, producer_version);
  ProtobufMessage operators;
  operators.add(1, "");  // the standard's own domain
  operators.add(2, operator_set_);
  model.add(model_field::kOperatorSet, operators);
  for (const auto& [key, value] : metadata) {
    ProtobufMessage entry;
    entry.add(1, key);
    entry.add(2, value);
    model.add(model_field::kMetadata, entry);
  }
  model.add(model_field::kGraph, graph_);
  if (model.bytes().size() > size_t(std::numeric_limits<int32_t>::max())) {
    throw ValueError("ONNX graph: {} bytes, the format takes 2 GiB", model.bytes().size());
  }
  return model.take();
}

}  // namespace ydistill
