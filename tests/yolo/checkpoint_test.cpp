// SPDX-License-Identifier: MIT
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/checkpoint.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "support/catch.h"
#include "support/files.h"
#include "support/worst.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

Checkpoint tiny_checkpoint() {
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(3);
  return {model.spec(), {"wide", "high"}, export_weights(model), {}, ""};
}

TEST_CASE("checkpoint: save and load give the same bits and the 6x6 stem keeps its shape") {
  const test::TempDir dir;
  const Checkpoint saved = tiny_checkpoint();
  save_checkpoint(dir / "a.safetensors", saved);
  const Checkpoint loaded = load_checkpoint(dir / "a.safetensors", PtWeights::kEma);
  CHECK(loaded.class_names == saved.class_names);
  CHECK(loaded.spec.json == saved.spec.json);
  const auto again = export_weights(*build_model(loaded));
  REQUIRE(again.size() == saved.tensors.size());
  for (size_t i = 0; i < again.size(); ++i) {
    CHECK(again[i].first == saved.tensors[i].first);
    CHECK(std::memcmp(again[i].second.raw(), saved.tensors[i].second.raw(),
                      size_t(again[i].second.nbytes())) == 0);
  }
  CHECK(again[0].first == "model.0.conv.weight");
  CHECK(again[0].second.shape() == Shape{8, 3, 6, 6});
}

TEST_CASE("model: folded in place it infers the same bits from less memory and does nothing else") {
  Model beside(graph_from_json(test::tiny_graph())), in_place(graph_from_json(test::tiny_graph()));
  beside.initialise(5);
  in_place.initialise(5);
  const int64_t start = heap_blocks_taken();
  beside.prepare_inference();
  const int64_t middle = heap_blocks_taken();
  in_place.prepare_inference(FoldedWeights::kInPlace);
  CHECK(2 * (heap_blocks_taken() - middle) == middle - start);  // biases, but no weights
  const Tensor images = Tensor::full({1, 32, 32, 3}, 99, DType::kUInt8);
  const auto a = beside.forward(images, ForwardMode::kInference);
  const auto b = in_place.forward(images, ForwardMode::kInference);
  for (size_t i = 0; i < a.size(); ++i) {
    const Tensor &one = a[i].value(), &other = b[i].value();
    CHECK(std::memcmp(one.raw(), other.raw(), size_t(one.nbytes())) == 0);
  }
  beside.forward(images, ForwardMode::kTrain);
  const char* text = "its parameters were folded in place, it can only infer";
  CHECK_THROWS_WITH_TEXT(in_place.forward(images, ForwardMode::kTrain), ValueError, text);
  CHECK_THROWS_WITH_TEXT(in_place.prepare_inference(), ValueError, text);
  CHECK_THROWS_WITH_TEXT(export_weights(in_place), ValueError, text);
}

TEST_CASE("checkpoint: the stem on focus input equals the 6x6 convolution") {
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(5);
  Rng rng(2);
  const Tensor images = Tensor::empty({1, 32, 32, 3}, DType::kUInt8);
  for (auto& v : images.span<uint8_t>()) v = uint8_t(rng.below(256));
  Tensor stem;
  model.prepare_inference();
  model.forward(images, ForwardMode::kInference, [&](int layer, const Tensor& t) {
    if (layer == 0) stem = t.clone();
  });
  // The definition, straight from the file's OIHW weights: fresh batch norm divides by sqrt(1 +
  // eps).
  const NamedTensors tensors = export_weights(model);
  const Tensor& weight = tensors[0].second;
  double worst = 0;
  for (int64_t o = 0; o < 8; ++o) {
    for (int64_t i = 0; i < 16; ++i) {
      for (int64_t j = 0; j < 16; ++j) {
        double sum = 0;
        for (int64_t c = 0; c < 3; ++c) {
          for (int64_t p = 0; p < 6; ++p) {
            for (int64_t q = 0; q < 6; ++q) {
              const int64_t y = 2 * i + p - 2, x = 2 * j + q - 2;
              if (y < 0 || y >= 32 || x < 0 || x >= 32) continue;
              sum +=
                  weight.at(((o * 3 + c) * 6 + p) * 6 + q) * images.at((y * 32 + x) * 3 + c) / 255;
            }
          }
        }
        const double z = sum / std::sqrt(1 + 1e-3);
        worst =
            test::worse(worst, std::abs(stem.at((i * 16 + j) * 8 + o) - z / (1 + std::exp(-z))));
      }
    }
  }
  CHECK(worst < 1e-5);  // float32 sums of 108 products of size 1
}

TEST_CASE("checkpoint: partial loading reports what did not fit") {
  const Checkpoint checkpoint = tiny_checkpoint();
  Model other(checkpoint.spec.with_classes(5));
  const LoadReport report = load_weights(other, checkpoint.tensors);
  CHECK(report.mismatched.size() == 4);  // weight and bias of two heads
  CHECK(report.missing.empty());
  CHECK(report.loaded == report.total - 4);
  CHECK_THROWS_WITH_TEXT(load_all_weights(other, checkpoint.tensors), ValueError,
                         "model.9.m.0.weight: file [21,24,1,1], model [30,24,1,1]");
}

TEST_CASE("checkpoint: no matching weight and weights that are NaN are refused") {
  Model model(graph_from_json(test::tiny_graph()));
  CHECK_THROWS_WITH_TEXT(load_weights(model, {{"x", Tensor::zeros({1})}}), ValueError,
                         "none of the");
  Checkpoint checkpoint = tiny_checkpoint();
  checkpoint.tensors[2].second.data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_TEXT(load_weights(model, checkpoint.tensors), NotFiniteError,
                         "holds NaN or infinity");
  // Of several files of a run, the message says which.
  const test::TempDir dir;
  save_checkpoint(dir / "teacher.safetensors", checkpoint);
  CHECK_THROWS_WITH_TEXT(
      load_checkpoint(dir / "teacher.safetensors", PtWeights::kEma), FileError,
      "teacher.safetensors: " + checkpoint.tensors[2].first + " holds NaN or infinity");
}

TEST_CASE("checkpoint: a bare list of weights is recognised by its shapes") {
  const test::TempDir dir;
  Model model(graph_by_name("yolov5n", 7));
  TensorFile bare;
  for (auto& [name, tensor] : export_weights(model)) bare.add(name, tensor);
  write_safetensors(dir / "bare.safetensors", bare);
  const Checkpoint loaded = load_checkpoint(dir / "bare.safetensors", PtWeights::kEma);
  CHECK(loaded.spec.name == "yolov5n");
  CHECK(loaded.spec.num_classes == 7);
  TensorFile none;
  none.add("weight", Tensor::zeros({3}));
  write_safetensors(dir / "none.safetensors", none);
  CHECK_THROWS_WITH_TEXT(load_checkpoint(dir / "none.safetensors", PtWeights::kEma), FileError,
                         "the weights fit none of the known graphs");
}

TEST_CASE("checkpoint: anchors of no size are refused and the file named") {
  const test::TempDir dir;
  Checkpoint saved = tiny_checkpoint();
  REQUIRE(saved.tensors.back().first.ends_with(".anchors"));
  saved.tensors.back().second.data<float>()[3] = 0;
  save_checkpoint(dir / "a.safetensors", saved);
  CHECK_THROWS_WITH_TEXT(load_checkpoint(dir / "a.safetensors", PtWeights::kEma), FileError,
                         "a.safetensors: graph: the anchors of a scale are width, height");
}

TEST_CASE("checkpoint: a small file cannot ask for a large network") {
  const test::TempDir dir;
  Checkpoint small = tiny_checkpoint();
  small.spec = graph_from_json(R"({"nc": 2, "anchors": [[14, 14]],
    "backbone": [[-1, 1, "Conv", [65536, 3, 2]], [-1, 1, "Conv", [65536, 15]]],
    "head": [[-1, 1, "Detect", ["nc", "anchors"]]]})");
  save_checkpoint(dir / "a.safetensors", small);
  CHECK_THROWS_WITH_TEXT(load_checkpoint(dir / "a.safetensors", PtWeights::kEma), FileError,
                         "a.safetensors: describes a network of 966369869824 weights and holds ");
}

TEST_CASE("checkpoint: a missing file is named") {
  CHECK_THROWS_WITH_TEXT(load_checkpoint("nowhere.pt", PtWeights::kEma), FileError,
                         "nowhere.pt: no such file");
}

TEST_CASE("checkpoint: the official files are what they say", "[reference]") {
  YD_REFERENCE_OR_SKIP(root, "");
  const Checkpoint n = load_checkpoint(root / "weights/yolov5n-v6-coco.pt", PtWeights::kEma);
  CHECK(n.spec.name == "yolov5n");
  CHECK(n.class_names.size() == 80);
  CHECK(n.class_names[0] == "person");
  const Checkpoint s = load_checkpoint(root / "weights/yolov5s-v5-voc20.pt", PtWeights::kEma);
  CHECK(s.spec.name == "yolov5s-v5");
  CHECK(s.spec.anchors == graph_by_name("yolov5s-v5").anchors);
  CHECK(build_model(s)->parameters().num_elements() == 7114785);
}

}  // namespace
}  // namespace ydistill
