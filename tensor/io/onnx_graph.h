// SPDX-License-Identifier: MIT
// Writes ONNX files: a graph of operators with its constants, for other runtimes.
// https://github.com/onnx/onnx/blob/main/onnx/onnx.proto; operators as of set 12 (ONNX 1.7) or 13
// (1.8).
#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <ydistill/tensor/io/protobuf.h>

namespace ydistill {

/// Element types, numbered as in the format.
enum class OnnxType { kFloat = 1, kUInt8 = 2, kInt8 = 3, kInt64 = 7, kFloat16 = 10 };

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

/// Sizes of a tensor: numbers, or names for sizes that are known only at run time.
using OnnxSizes = std::vector<std::variant<int64_t, std::string>>;

/// Builds a graph. Values are identified by name and must be added before they are used.
class OnnxGraph {
 public:
  /// operator_set: 12, or 13 for DequantizeLinear with a scale per channel; the other operators
  /// used here are the same in both.
  explicit OnnxGraph(const std::string& name, int operator_set = 12);

  /// returns `name`. throws ValueError for a name that is taken.
  std::string add_input(const std::string& name, OnnxType type, const OnnxSizes& sizes);
  /// Makes a value an output. throws ValueError if there is no value of this name.
  void add_output(const std::string& name, OnnxType type, const OnnxSizes& sizes);

  /// A constant. as: kFloat, or kFloat16 (values are rounded to nearest).
  /// returns `name`. throws ValueError for a name that is taken, for values whose number does not
  /// match the sizes, and for one that is too large for kFloat16.
  std::string add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                           std::span<const float> values, OnnxType as = OnnxType::kFloat);
  std::string add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                           std::span<const int64_t> values);
  std::string add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                           std::span<const int8_t> values);
  std::string add_constant(const std::string& name, const std::vector<int64_t>& sizes,
                           std::span<const uint8_t> values);

  /// An operator with one output. name: of the node and of its output.
  /// returns `name`. throws ValueError for a name that is taken and for an input that does not
  /// exist.
  std::string add_node(const std::string& name, const std::string& op,
                       const std::vector<std::string>& inputs,
                       const std::vector<OnnxAttribute>& attributes = {});
  /// The same for several outputs with names of their own.
  void add_node_with_outputs(const std::string& name, const std::string& op,
                             const std::vector<std::string>& inputs,
                             const std::vector<std::string>& outputs,
                             const std::vector<OnnxAttribute>& attributes = {});

  /// The complete file. metadata: for programs that know its keys.
  /// throws ValueError for more than the format's 2 GiB.
  std::string encode(const std::string& producer_version,
                     const std::vector<std::pair<std::string, std::string>>& metadata) const;

 private:
  void take_name(const std::string& name);
  void require_values(const std::string& node, const std::vector<std::string>& inputs) const;
  ProtobufMessage begin_constant(const std::string& name, const std::vector<int64_t>& sizes,
                                 size_t num_values, OnnxType type);

  std::string add_bytes(const std::string& name, const std::vector<int64_t>& sizes, OnnxType type,
                        const std::string& bytes);

  int operator_set_;
  ProtobufMessage graph_;
  std::set<std::string> values_;
};

}  // namespace ydistill
