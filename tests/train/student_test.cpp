// SPDX-License-Identifier: MIT
// What the network that a training begins with keeps of its weights.
#include <ydistill/train/student.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

using Names = std::vector<std::string>;

/// Weights of the classes wide and high, and students that begin with them.
struct FineTune {
  test::TempDir dir;
  NamedTensors known;
  std::string log;  ///< of the last student

  FineTune() {
    Model before(graph_from_json(test::tiny_graph()));
    before.initialise(5);
    known = export_weights(before);
    save_checkpoint(dir / "w.safetensors", {before.spec(), {"wide", "high"}, known, {}, ""});
  }
  NamedTensors student(const Names& names, const std::string& more = "",
                       const std::string& merge = "") {
    Dataset data;
    data.names = names;
    const Config config =
        parse_config(R"({"model": {"weights": "w.safetensors")" + more +
                         R"(}, "data": {"train": {"yolo": "x"}, "val": {"yolo": "x"})" + merge +
                         R"(}, "train": {"seed": 3}})",
                     dir.path());
    log.clear();
    return export_weights(
        *make_student(config, data, {}, [&](const std::string& line) { log += line + "\n"; }));
  }
};

Tensor first_bias(const NamedTensors& tensors) {
  for (const auto& [name, tensor] : tensors) {
    if (name == "model.9.m.0.bias") return tensor;
  }
  return {};
}

TEST_CASE("student: of merged classes the head keeps the first, and no other class gets one") {
  FineTune fine_tune;
  fine_tune.student({"long", "dot"}, "", R"(, "merge": {"long": ["wide", "high"]})");
  INFO(fine_tune.log);
  CHECK(fine_tune.log.find("the head keeps 1: long (wide); new are dot") != std::string::npos);
}

TEST_CASE("student: a head of other classes keeps those that it knows by name") {
  FineTune fine_tune;
  const NamedTensors& known = fine_tune.known;
  Model fresh(graph_from_json(test::tiny_graph()).with_classes(3));
  fresh.initialise(3);
  const NamedTensors start = export_weights(fresh);
  const NamedTensors kept = fine_tune.student({"high", "round", "wide"});
  const NamedTensors replaced =
      fine_tune.student({"high", "round", "wide"}, R"(, "keep_classes": false)");
  int64_t heads = 0;
  for (size_t i = 0; i < kept.size(); ++i) {
    const auto& [name, tensor] = kept[i];
    INFO(name);
    const bool is_head = name.starts_with("model.9.m.");
    const Tensor& source = is_head ? start[i].second : known[i].second;
    for (int64_t k = 0; k < tensor.numel(); ++k) {
      if (replaced[i].second.at(k) != source.at(k)) FAIL("replaced " << k);
      if (!is_head && tensor.at(k) != source.at(k)) FAIL("element " << k);
    }
    if (!is_head) continue;
    ++heads;
    const int64_t length = tensor.numel() / 24, from[] = {0, 1, 2, 3, 4, 6, -1, 5};
    for (int64_t row = 0; row < 24; ++row) {  // three anchors
      const int64_t c = from[row % 8];
      for (int64_t k = 0; k < length; ++k) {
        const double expected = c < 0 ? start[i].second.at(row * length + k)
                                      : known[i].second.at((row / 8 * 7 + c) * length + k);
        if (tensor.at(row * length + k) != expected) FAIL("row " << row);
      }
    }
  }
  CHECK(heads == 4);
  // Names that stand for none match nothing, and nothing is kept of what nobody knows.
  const NamedTensors other = fine_tune.student({"class0", "class1", "class2"});
  for (size_t i = 0; i < other.size(); ++i) {
    for (int64_t k = 0; k < other[i].second.numel(); ++k) {
      if (other[i].second.at(k) != replaced[i].second.at(k)) FAIL(other[i].first);
    }
  }
}

TEST_CASE("student: what a head keeps that has as many classes, or one, or reads other channels") {
  FineTune fine_tune;
  std::string wide = test::tiny_graph();
  const std::string last = "\"C3\", [24, false]";
  wide.replace(wide.find(last), last.size(), "\"C3\", [40, false]");
  test::write_file(fine_tune.dir / "wide.json", wide);
  const std::string& log = fine_tune.log;
  const Tensor start = first_bias(fine_tune.known);
  // A class that is called otherwise now is the one at its place.
  const Tensor renamed = first_bias(fine_tune.student({"flat", "high"}));
  for (int64_t i = 0; i < 21; ++i) CHECK(renamed.at(i) == start.at(i));
  CHECK(log.find("the head keeps 2: flat (wide), high") != std::string::npos);
  // The logit of a single class is not trained: sigmoid(11) is certainty.
  const Tensor single = first_bias(fine_tune.student({"high"}));
  CHECK(single.at(4) == start.at(4));
  CHECK(single.at(5) > 10);
  CHECK(log.find("of its weights only high is left; the head keeps its boxes and objectness") !=
        std::string::npos);
  fine_tune.student({"high", "new", "wide"}, R"(, "graph": "wide.json")");
  CHECK(log.find("is replaced by one for 3") != std::string::npos);
  CHECK(log.find("keeps") == std::string::npos);
}

}  // namespace
}  // namespace ydistill
