// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/onnx_graph.h>

#include "support/protobuf_reader.h"

namespace ydistill {
namespace {

using Ints = std::vector<int64_t>;
using Floats = std::vector<float>;

TEST_CASE("ONNX graph: what is wrong in a graph is refused by name") {
  OnnxGraph graph("g");
  graph.add_input("x", OnnxType::kFloat, {int64_t(1), "n"});
  CHECK_THROWS_WITH_TEXT(graph.add_input("x", OnnxType::kFloat, {}), ValueError,
                         "two values called x");
  CHECK_THROWS_WITH_TEXT(graph.add_node("y", "Add", {"x", "z"}), ValueError,
                         "y uses z, which is not there");
  CHECK_THROWS_WITH_TEXT(graph.add_output("y", OnnxType::kFloat, {}), ValueError,
                         "output uses y, which is not there");
  CHECK_THROWS_WITH_TEXT(graph.add_constant("c", {2, 2}, Floats{1, 2, 3}), ValueError,
                         "constant c: 3 numbers for 4");
  CHECK_THROWS_WITH_TEXT(graph.add_constant("h", {1}, Floats{70000}, OnnxType::kFloat16),
                         ValueError, "constant h: 70000 is too large for float16");
}

TEST_CASE("ONNX graph: nodes, constants and values stand where onnx.proto has them") {
  OnnxGraph graph("g");
  graph.add_input("x", OnnxType::kUInt8, {int64_t(3), "n"});
  graph.add_constant("halves", {2}, Floats{1, -2}, OnnxType::kFloat16);
  graph.add_constant("ints", {}, Ints{-1});
  graph.add_node_with_outputs(
      "t", "TopK", {"x", "ints"}, {"best", "order"},
      {{"axis", int64_t(-1)}, {"s", "text"}, {"f", 0.5f}, {"list", Ints{4, 5}}});
  graph.add_output("order", OnnxType::kInt64, {int64_t(3), "k"});
  const test::ProtobufFields model = test::read_protobuf(graph.encode("1.2", {{"key", "value"}}));
  CHECK(model.number(1) == 7);
  CHECK(model.text(2) == "ydistill");
  CHECK(model.text(3) == "1.2");
  CHECK(test::read_protobuf(model.text(8)).number(2) == 12);
  CHECK(test::read_protobuf(model.text(14)).text(1) == "key");
  CHECK(test::read_protobuf(model.text(14)).text(2) == "value");

  const test::ProtobufFields g = test::read_protobuf(model.text(7));
  CHECK(g.text(2) == "g");
  const test::ProtobufFields node = test::read_protobuf(g.text(1));
  CHECK(node.all_texts(1) == std::vector<std::string>{"x", "ints"});
  CHECK(node.all_texts(2) == std::vector<std::string>{"best", "order"});
  CHECK(node.text(3) == "t");
  CHECK(node.text(4) == "TopK");
  const std::vector<std::string> attributes = node.all_texts(5);
  REQUIRE(attributes.size() == 4);
  const test::ProtobufFields axis = test::read_protobuf(attributes[0]);
  CHECK(axis.text(1) == "axis");
  CHECK(axis.number(3) == -1);
  CHECK(axis.number(20) == 2);
  CHECK(test::read_protobuf(attributes[1]).text(4) == "text");
  CHECK(test::read_protobuf(attributes[1]).number(20) == 3);
  CHECK(test::read_protobuf(attributes[2]).number(2) == 0x3f000000);
  CHECK(test::read_protobuf(attributes[2]).number(20) == 1);
  CHECK(test::read_protobuf(attributes[3]).all_numbers(8) == Ints{4, 5});
  CHECK(test::read_protobuf(attributes[3]).number(20) == 7);

  const std::vector<std::string> constants = g.all_texts(5);
  REQUIRE(constants.size() == 2);
  const test::ProtobufFields halves = test::read_protobuf(constants[0]);
  CHECK(halves.all_numbers(1) == Ints{2});
  CHECK(halves.number(2) == 10);
  CHECK(halves.text(8) == "halves");
  CHECK(halves.text(9) == std::string("\x00\x3c\x00\xc0", 4));
  const test::ProtobufFields ints = test::read_protobuf(constants[1]);
  CHECK(ints.all_numbers(1).empty());
  CHECK(ints.number(2) == 7);
  CHECK(ints.text(9) == std::string(8, '\xff'));

  const test::ProtobufFields x = test::read_protobuf(g.text(11));
  CHECK(x.text(1) == "x");
  const test::ProtobufFields type = test::read_protobuf(test::read_protobuf(x.text(2)).text(1));
  CHECK(type.number(1) == 2);
  const std::vector<std::string> sizes = test::read_protobuf(type.text(2)).all_texts(1);
  REQUIRE(sizes.size() == 2);
  CHECK(test::read_protobuf(sizes[0]).number(1) == 3);
  CHECK(test::read_protobuf(sizes[1]).text(2) == "n");
  CHECK(test::read_protobuf(g.text(12)).text(1) == "order");
}

}  // namespace
}  // namespace ydistill
