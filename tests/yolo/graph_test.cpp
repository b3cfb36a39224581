// SPDX-License-Identifier: MIT
// Parameter counts: the public code of v5.0 and v7.0, 80 classes.
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/graph.h>
#include <ydistill/yolo/model.h>

#include <array>
#include <string>
#include <vector>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

TEST_CASE("graph: parameter counts are those of the public releases") {
  const std::pair<const char*, int64_t> expected[] = {
      {"yolov5n", 1872157},     {"yolov5s", 7235389},     {"yolov5m", 21190557},
      {"yolov5s-v5", 7276605},  {"yolov5m-v5", 21375645}, {"yolov5n6", 3246940},
      {"yolov5s6", 12626620},   {"yolov5m6", 35731932},   {"yolov5s6-v5", 12667836},
      {"yolov5m6-v5", 35917020}};
  for (const auto& [name, count] : expected) {
    INFO(name);
    CHECK(Model(graph_by_name(name)).parameters().num_elements() == count);
  }
}

TEST_CASE("graph: every release is built and recognised by its own description") {
  for (const std::string& name : graph_names()) {
    const GraphSpec graph = graph_by_name(name, 20);
    CHECK(graph.name == name);
    CHECK(graph.num_classes == 20);
    std::vector<double> strides{8, 16, 32};
    if (name.find('6') != std::string::npos) strides.push_back(64);
    CHECK(graph.anchors.strides == strides);
    CHECK(graph_from_json(graph.json).name == name);
  }
}

TEST_CASE("graph: an unknown name is answered with the nearest") {
  CHECK_THROWS_WITH_TEXT(graph_by_name("yolo5s"), ValueError, "did you mean \"yolov5s\"?");
}

TEST_CASE("graph: a description of ones own is checked module by module") {
  const std::string good = test::tiny_graph();
  CHECK(graph_from_json(good).name == "custom");
  const auto with = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    text.replace(text.find(from), from.size(), to);
    return text;
  };
  const auto refuse = [&](const std::string& from, const std::string& to, const std::string& why) {
    INFO(to);
    CHECK_THROWS_WITH_TEXT(graph_from_json(with(from, to)), ValueError, why);
  };
  refuse("\"C3\", [16]", "\"C4\", [16]", "module 2 (C4): unknown type");
  refuse("\"C3\", [16]", "\"C\\n3\", [16]", "module 2 (C\\x0a3): unknown type");
  refuse("[8, 6, 2, 2]", "[\"" + std::string(200, 'x') + "\", 6, 2, 2]",
         "argument 0 must be an integer, got \"" + std::string(99, 'x') + "...");
  refuse("[[-1, 3], 1, \"Concat\"", "[[-1, 30], 1, \"Concat\"",
         "`from` 30 names no earlier module");
  refuse("[[-1, 3], 1, \"Concat\"", "[[-1, 1], 1, \"Concat\"", "strides 8 and 4");
  CHECK(graph_from_json(with("[32, 5]", "[32, 7]")).layers[5].kernel == 7);
  refuse("[32, 5]", "[32, 6]",
         "windows 6 are not supported, only an odd number, as 5, from 3 to 15");
  refuse("[32, 5]", "[32, 17]", "windows 17 are not supported");
  refuse("[32, 5]", "[32, [5, 9, 13]]", "windows [5,9,13] are not supported");
  const std::string spp = "\"SPP\", [32, [3, 5, 7]]";
  CHECK(graph_from_json(with("\"SPPF\", [32, 5]", spp)).layers[5].kernel == 3);
  refuse("\"SPPF\", [32, 5]", "\"SPP\", [32, [5, 9, 14]]",
         "windows [5,9,14] are not supported, only k, 2k - 1, 3k - 2 with an odd k, as [5, 9, 13]");
  refuse("[8, 6, 2, 2]", "[-8, 6, 2, 2]", "argument 0 is -8");
  refuse("[[14,14, 14,32, 32,14], ", "[", "Detect has 2 scales, anchors are given for 1");
  refuse("[8, 6, 2, 2]", "[8, 6, 2, 2, 4]", "has 5 arguments, only the first 4 are supported");
  refuse("\"Concat\", [1]", "\"Concat\", [2]", "only channels are concatenated (1)");
  refuse("\"nc\": 2", "\"nc\": 0", "nc must be an integer >= 1");
  refuse("[[8, 5], 1, \"Detect\", [\"nc\", \"anchors\"]]", "[-1, 1, \"Conv\", [8]]",
         "the last module must be Detect");
  refuse("[[14,14,", "[" + std::string(100000, '[') + std::string(100000, ']') + ",",
         "nested more than 64 deep");
  CHECK_THROWS_WITH_TEXT(graph_from_json("{"), ValueError, "malformed JSON: line 1, column 2");
  CHECK_THROWS_WITH_TEXT(graph_from_json("[]"), ValueError, "not a JSON object");
}

TEST_CASE("graph: sizes that nothing can compute with are refused where they come up") {
  // `modules` before one Detect of one scale.
  const auto read = [](std::string modules, const std::string& more = "") {
    if (!modules.empty()) modules += ", ";
    return graph_from_json("{" + more + R"("anchors": [[1, 1]], "head": [], "backbone": [)" +
                           modules + R"([-1, 1, "Detect", []]]})");
  };
  std::string modules = R"([-1, 1, "Conv", [8]])";
  CHECK(read(modules).anchors.strides == std::vector<double>{1});
  std::string doubled = modules, coarser = modules;
  for (int i = 0; i < 70; ++i) doubled += R"(, [[-1, -1], 1, "Concat", [1]])";
  for (int i = 0; i < 400; ++i) coarser += R"(, [-1, 1, "Conv", [8, 3, 8]])";
  CHECK_THROWS_WITH_TEXT(read(doubled), ValueError,
                         "module 14 (Concat): has 131072 channels, at most 65536 are allowed");
  CHECK_THROWS_WITH_TEXT(
      read(coarser), ValueError,
      "module 6 (Conv): its output has stride 262144, allowed are 1/65536 to 65536");
  CHECK_THROWS_WITH_TEXT(read(R"([-1, 1, "Conv", [65536]])", R"("width_multiple": 2,)"), ValueError,
                         "module 0 (Conv): has 131072 channels");
  CHECK_THROWS_WITH_TEXT(read(modules + R"(, [-1, 1000, "C3", [8]])", R"("depth_multiple": 2,)"),
                         ValueError, "module 1 (C3): repeats 2000 outside 1..1000");
  CHECK_THROWS_WITH_TEXT(read(R"([-1, 1, "nn.Upsample", []])"), ValueError,
                         "Detect reads module 0 of stride 0.5, whole pixels wanted");
  CHECK_THROWS_WITH_TEXT(read(""), ValueError, "module 0 (Detect): needs modules to read");
}

TEST_CASE("graph: pictures have to fit the coarsest layer, which may not be a head's") {
  std::string graph = test::tiny_graph();
  const std::string heads = "[[8, 5], 1, \"Detect\"", anchors = "[32,32, 40,20, 20,40]";
  graph.replace(graph.find(heads), heads.size(), "[[8], 1, \"Detect\"");
  graph.replace(graph.find(anchors) - 2, anchors.size() + 2, "");
  const GraphSpec spec = graph_from_json(graph);
  CHECK(spec.anchors.strides == std::vector<double>{8});
  CHECK(spec.max_stride() == 16);
  Model model(spec);
  model.initialise(1);
  model.prepare_inference();
  const NoGrad no_grad;
  CHECK(model.forward(Tensor::zeros({1, 32, 48, 3}, DType::kUInt8), ForwardMode::kInference)
            .at(0)
            .shape() == Shape{1, 4, 6, 3, 7});
}

TEST_CASE("graph: pictures fit layers whose strides do not divide each other") {
  const GraphSpec spec = graph_from_json(R"({"anchors": [[8, 8], [9, 9]], "backbone": [
    [-1, 1, "Conv", [8, 3, 8]], [-1, 1, "Conv", [8, 3, 2]], [0, 1, "Conv", [8, 3, 3]]],
    "head": [[[1, 2], 1, "Detect", ["nc", "anchors"]]]})");
  CHECK(spec.anchors.strides == std::vector<double>{16, 24});
  CHECK(spec.max_stride() == 48);
  CHECK(spec.training_stride() == 96);
}

TEST_CASE("model: the windows of SPP and SPPF are those of the description") {
  const auto logits = [](const std::string& spp) {
    std::string graph = test::tiny_graph();
    const std::string own = "\"SPPF\", [32, 5]";
    Model model(graph_from_json(graph.replace(graph.find(own), own.size(), spp)));
    model.initialise(1);
    model.prepare_inference();
    Rng rng(7);
    const Tensor images = Tensor::empty({1, 128, 128, 3}, DType::kUInt8);
    for (uint8_t& byte : images.span<uint8_t>()) byte = uint8_t(rng.below(256));
    const NoGrad no_grad;
    return model.forward(images, ForwardMode::kInference).at(1).value();
  };
  const auto same = [](const Tensor& a, const Tensor& b) {
    for (int64_t i = 0; i < a.numel(); ++i) {
      if (a.at(i) != b.at(i)) return false;
    }
    return true;
  };
  const Tensor three = logits("\"SPPF\", [32, 3]"), five = logits("\"SPPF\", [32, 5]");
  CHECK(same(three, logits("\"SPP\", [32, [3, 5, 7]]")));
  CHECK(same(five, logits("\"SPP\", [32]")));
  CHECK_FALSE(same(three, five));
}

TEST_CASE("graph: where a file only counts the anchors they are squares of the scale's size") {
  std::string graph = test::tiny_graph();
  const std::string anchors = "[[14,14, 14,32, 32,14], [32,32, 40,20, 20,40]]";
  const auto with = [&](const std::string& count) {
    std::string text = graph;
    return text.replace(text.find(anchors), anchors.size(), count);
  };
  const GraphSpec spec = graph_from_json(with("3"));
  using Head = std::vector<std::array<double, 2>>;
  CHECK(spec.anchors.wh_px ==
        std::vector<Head>{{{12, 12}, {24, 24}, {48, 48}}, {{24, 24}, {48, 48}, {96, 96}}});
  CHECK(graph_from_json(spec.json).anchors == spec.anchors);
  CHECK(graph_from_json(with("1")).anchors.wh_px[1] == Head{{48, 48}});
  for (const char* count : {"0", "33"}) {
    CHECK_THROWS_WITH_TEXT(graph_from_json(with(count)), ValueError,
                           "anchors a scale, allowed are 1..32");
  }
}

TEST_CASE("graph: a description in YAML, as YOLOv5 writes it, is the same network") {
  const test::TempDir dir;
  const std::string yaml = test::tiny_graph_yaml();
  const auto read = [&](const std::string& text) {
    test::write_file(dir / "own.yaml", text);
    return graph_from_file((dir / "own.yaml").string());
  };
  const GraphSpec spec = read(yaml), expected = graph_from_json(test::tiny_graph());
  const auto check_same = [&](const GraphSpec& got) {
    CHECK(got.anchors == expected.anchors);
    CHECK(got.num_classes == 2);
    REQUIRE(got.layers.size() == expected.layers.size());
    for (size_t i = 0; i < got.layers.size(); ++i) {
      const LayerSpec &a = got.layers[i], &b = expected.layers[i];
      INFO("layer " << i);
      CHECK((a.type == b.type && a.from == b.from && a.in_channels == b.in_channels));
      CHECK((a.out_channels == b.out_channels && a.repeats == b.repeats));
      CHECK((a.shortcut == b.shortcut && a.kernel == b.kernel && a.stride == b.stride));
      CHECK((a.padding == b.padding && a.reduction == b.reduction));
    }
  };
  check_same(spec);
  // Lists in blocks, lines that end as on Windows, words in quotes.
  check_same(read(
      "nc: 2\r\nanchors:\r\n- [14,14, 14,32, 32,14]\r\n- [32,32, 40,20, 20,40]\r\nbackbone:\r\n"
      "- [-1, 1, Conv, [8, 6, 2, 2]]\r\n- [-1, 1, Conv, [16, 3, 2]]\r\n- [-1, 1, C3, [16, "
      "True]]\r\n"
      "- [-1, 1, Conv, [24, 3, 2]]\r\n-\r\n  - -1\r\n  - 1\r\n  - Conv\r\n  - [32, 3, 2]\r\n"
      "- [-1, 1, 'SPPF', [32, 5]]\r\nhead:\r\n- [-1, 1, nn.Upsample, ['None', 2, \"nearest\"]]\r\n"
      "- [[-1, 3], 1, Concat, [1]]\r\n- [-1, 1, C3, [24, false]]\r\n"
      "- [[8, 5], 1, Detect, [nc, anchors]]\r\n"));
  const Model model(spec), other(expected);
  CHECK(model.parameters().num_elements() == other.parameters().num_elements());
  for (int i = 0; i < model.parameters().num_parameters(); ++i) {
    CHECK(model.parameters().name(i) == other.parameters().name(i));
  }
  const auto refuse = [&](const std::string& from, const std::string& to, const std::string& why) {
    INFO(to);
    std::string text = yaml;
    text.replace(text.find(from), from.size(), to);
    CHECK_THROWS_WITH_TEXT(read(text), ValueError, why);
  };
  refuse("  ]\nhead:", "  \nhead:", "own.yaml: graph: line 24: malformed YAML");
  refuse("nc: 2", "nc: 2\nnc: 3", "line 3: the key \"nc\" is there twice");
  refuse("nn.SiLU()", "nn.LeakyReLU(0.1)",
         "activation is \"nn.LeakyReLU(0.1)\", only \"nn.SiLU()\"");
  refuse("nc: 2", "ch: 1\nnc: 2", "ch is 1, pictures have 3 channels");
  refuse("[16]]", "[\"16\"]]", "module 2 (C3): argument 0 must be an integer");
  refuse("nc: 2", "depth_multiple: .inf\nnc: 2", "is there twice");
  for (const char* itself : {"nc: 2\nanchors: &a [*a]\n", "backbone: &b\n  - *b\n"}) {
    CHECK_THROWS_WITH_TEXT(read(itself), ValueError, "nested too deeply");
  }
  std::string many = "a: &a \"" + std::string(10000, 'x') + "\"\nb: [";
  for (int i = 0; i < 200; ++i) many += "*a, ";
  CHECK_THROWS_WITH_TEXT(read(many + "*a]\n"), ValueError, "more than a megabyte of words");
  CHECK_THROWS_WITH_TEXT(read("- 1\n- 2\n"), ValueError, "line 1: keys with values wanted");
  CHECK_THROWS_WITH_TEXT(read(""), ValueError, "keys with values wanted");
  CHECK_THROWS_WITH_TEXT(read("a: " + std::string(100000, '[')), ValueError, "malformed YAML");
}

TEST_CASE("model: pictures of a wrong size are refused with the stride") {
  Model model(graph_from_json(test::tiny_graph()));
  CHECK_THROWS_WITH_TEXT(
      model.forward(Tensor::zeros({1, 60, 64, 3}, DType::kUInt8), ForwardMode::kTrain), ShapeError,
      "multiples of 16");
  CHECK_THROWS_WITH_TEXT(
      model.forward(Tensor::zeros({1, 64, 64, 3}, DType::kUInt8), ForwardMode::kInference),
      ValueError, "prepare_inference() must come before inference");
}

TEST_CASE("model: the convolutions it names are those it runs") {
  Model model(graph_from_json(test::tiny_graph()));
  int64_t weights = 0;
  for (const Conv2dGeometry& g : model.convolutions(1, 64, 64)) weights += g.weight_shape().numel();
  int64_t declared = 0;
  for (int i = 0; i < model.parameters().num_parameters(); ++i) {
    if (model.parameters().group(i) == ParameterGroup::kDecay)
      declared += model.parameters().var(i).value().numel();
  }
  CHECK(weights == declared);
  CHECK(Model(graph_by_name("yolov5s", 80)).gflops(640, 640) == Approx(16.5).margin(0.1));
}

}  // namespace
}  // namespace ydistill
