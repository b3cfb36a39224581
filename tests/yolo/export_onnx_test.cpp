// SPDX-License-Identifier: MIT
// The file is evaluated by an interpreter of its own (onnx_evaluator.h) and compared with the model
// in float64.
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/decode.h>
#include <ydistill/yolo/export_onnx.h>
#include <ydistill/yolo/inference.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "support/catch.h"
#include "support/worst.h"
#include "yolo/onnx_evaluator.h"

namespace ydistill {
namespace {

/// Every type of module; two heads. `first`: the stem.
std::string every_module(const std::string& first, const std::string& spp) {
  return R"({"nc": 3, "depth_multiple": 1, "width_multiple": 1,
    "anchors": [[10,13, 16,30], [30,61, 62,45]],
    "backbone": [[-1, 1, )" +
         first + R"(], [-1, 1, "Conv", [16, 3, 2]], [-1, 2, "C3", [16]],
                 [-1, 1, "Bottleneck", [16]], [-1, 1, "Conv", [24, 3, 2]], [-1, 1, )" +
         spp + R"(]],
    "head": [[-1, 1, "nn.Upsample", [null, 2, "nearest"]], [[-1, 3], 1, "Concat", [1]],
             [-1, 1, "C3", [16, false]], [-1, 1, "Bottleneck", [16, false]],
             [[9, 5], 1, "Detect", ["nc", "anchors"]]]})";
}
const std::string kV6 = every_module(R"("Conv", [8, 6, 2, 2])", R"("SPPF", [24, 5])");
const std::string kV5 = every_module(R"("Focus", [8, 3])", R"("SPP", [24, [5, 9, 13]])");
const std::string kPlain = every_module(R"("Conv", [8, 3, 2])", R"("SPP", [24, [3, 5, 7]])");

/// Weights under which every layer matters and batch norm's statistics are its own.
Checkpoint random_checkpoint(const std::string& json, uint64_t seed) {
  Model model(graph_from_json(json));
  model.initialise(seed);
  Checkpoint checkpoint{model.spec(), {"it's", "back\\slash", "c"}, export_weights(model), {}, ""};
  Rng rng(seed + 1);
  for (auto& [name, tensor] : checkpoint.tensors) {
    const auto is = [&, &key = name](const char* part) {
      return key.find(part) != std::string::npos;
    };
    if (is(".bn.weight") || is("running_var")) tensor = rng.uniform(tensor.shape(), 0.5, 2);
    if (is(".bn.bias") || is("running_mean")) tensor = rng.uniform(tensor.shape(), -0.5, 0.5);
    if (is(".m.0.bias") || is(".m.1.bias")) tensor = rng.uniform(tensor.shape(), -1, 1);
  }
  return checkpoint;
}

Tensor random_pictures(int64_t n, int64_t height, int64_t width) {
  Rng rng(77);
  const Tensor images = Tensor::empty({n, height, width, 3}, DType::kUInt8);
  for (uint8_t& byte : images.span<uint8_t>()) byte = uint8_t(rng.below(256));
  return images;
}

test::OnnxValue as_bytes(const Tensor& images) {
  test::OnnxValue value{{images.shape().sizes().begin(), images.shape().sizes().end()}, {}, true};
  for (const uint8_t byte : images.span<uint8_t>()) value.numbers.push_back(byte);
  return value;
}

test::OnnxValue as_floats(const Tensor& images) {
  const int64_t n = images.size(0), h = images.size(1), w = images.size(2);
  test::OnnxValue value{{n, 3, h, w}, {}, false};
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < 3; ++c) {
      for (int64_t p = 0; p < h * w; ++p) {
        value.numbers.push_back(double(images.at((i * h * w + p) * 3 + c)) / 255);
      }
    }
  }
  return value;
}

/// The model's own logits, in float64 from the same float32 weights.
std::vector<Tensor> logits_of(const Checkpoint& checkpoint, const Tensor& images) {
  Model model(checkpoint.spec, DType::kFloat64);
  load_all_weights(model, checkpoint.tensors);
  model.prepare_inference();
  std::vector<Tensor> logits;
  for (const Var& head : model.forward(images, ForwardMode::kInference)) {
    logits.push_back(head.value());
  }
  return logits;
}

double worst_difference(const test::OnnxValue& got, const Tensor& wanted) {
  REQUIRE(Shape(got.sizes) == wanted.shape());
  double worst = 0;
  for (int64_t i = 0; i < wanted.numel(); ++i) {
    worst = test::worse(worst, std::abs(got.numbers[size_t(i)] - wanted.at(i)));
  }
  return worst;
}

// Weights are folded in float64 and rounded to float32: 6e-8 of each; boxes are up to 100 pixels.
constexpr double kFoldedTolerance = 1e-4;

TEST_CASE("export: boxes of an ONNX file are those of the model, for every stem") {
  const Tensor images = random_pictures(1, 32, 48);
  for (const std::string& json : {kV6, kV5, kPlain}) {
    const Checkpoint checkpoint = random_checkpoint(json, 5);
    const Tensor wanted = decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors);
    OnnxOptions options{.height = 32, .width = 48};
    const auto got =
        test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
    REQUIRE(got.size() == 1);
    CHECK(worst_difference(got.at("output0"), wanted) < kFoldedTolerance);
    CHECK(wanted.at(4) != Approx(0.5).margin(1e-3));  // the layers do say something
  }
}

int64_t count_of(const std::string& text, const std::string& word) {
  int64_t n = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++n;
  return n;
}

Checkpoint calibrated_checkpoint(const std::string& json, const Tensor& images) {
  Checkpoint checkpoint = random_checkpoint(json, 5);
  const auto model = build_inference_model(checkpoint, {});
  Calibrator calibrator(*model);
  calibrator.add(images);
  checkpoint.calibration = calibrator.result();
  return checkpoint;
}

TEST_CASE("export: in 8 bits an ONNX file computes what the model does with bytes") {
  const Tensor images = random_pictures(2, 32, 48);
  for (const std::string& json : {kV6, kV5}) {
    const Checkpoint checkpoint = calibrated_checkpoint(json, images);
    const auto model = build_inference_model(checkpoint, {Device::cpu(), Precision::kInt8});
    const std::vector<Tensor> wanted = Inference(*model).logits(images);
    const std::vector<Tensor> exact = logits_of(checkpoint, images);
    for (const OnnxInput input : {OnnxInput::kFloats, OnnxInput::kBytes}) {
      const OnnxOptions options{.batch = 2,
                                .height = 32,
                                .width = 48,
                                .input = input,
                                .output = OnnxOutput::kLogits,
                                .precision = OnnxType::kInt8};
      const std::string file = encode_onnx(checkpoint, options, "0");
      const auto got = test::evaluate_onnx(
          file, {{"images", input == OnnxInput::kBytes ? as_bytes(images) : as_floats(images)}});
      for (size_t k = 0; k < wanted.size(); ++k) {
        const test::OnnxValue& head = got.at("logits" + std::to_string(k));
        // The fast sigmoid rounds one byte in thirty the other way, which is a third, of squares,
        // of what rounding all of them does.
        const Shape& s = wanted[k].shape();  // [N,H,W,A,5+C], there [N,A (5+C),H,W]
        const int64_t cells = s[1] * s[2], columns = s[3] * s[4];
        double off = 0, from_exact = 0;
        for (int64_t i = 0; i < wanted[k].numel(); ++i) {
          const int64_t n = i / (cells * columns), cell = i / columns % cells, c = i % columns;
          const double there = head.numbers.at(size_t((n * columns + c) * cells + cell));
          off += std::pow(there - wanted[k].at(i), 2);
          from_exact += std::pow(exact[k].at(i) - wanted[k].at(i), 2);
        }
        CHECK(off < 0.6 * from_exact);
      }
      // Every output of a convolution but the heads', and the picture; the weights of all.
      const int64_t heads = int64_t(wanted.size()), convs = int64_t(checkpoint.calibration.size());
      CHECK(count_of(file, "QuantizeLinear") == convs - heads + 1);
      CHECK(count_of(file, "DequantizeLinear") == convs - heads + 1 + convs);
    }
  }
}

TEST_CASE("export: in 8 bits a file for any size computes what one for a size does") {
  const Tensor images = random_pictures(1, 32, 48);
  Checkpoint checkpoint = calibrated_checkpoint(kV6, images);
  for (auto& [name, tensor] : checkpoint.tensors) {  // a channel of zeros has no scale
    if (name != "model.1.conv.weight") continue;
    std::fill_n(tensor.data<float>(), tensor.numel() / tensor.size(0), 0.0f);
  }
  OnnxOptions options{.height = 32, .width = 48, .precision = OnnxType::kInt8};
  const auto boxes =
      test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
  options.shapes = OnnxShapes::kDynamic;
  const auto dynamic =
      test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
  CHECK(boxes.at("output0").numbers == dynamic.at("output0").numbers);
  for (const double number : boxes.at("output0").numbers) REQUIRE(std::isfinite(number));
}

TEST_CASE("export: in 8 bits without a calibration is refused") {
  CHECK_THROWS_WITH_TEXT(
      encode_onnx(random_checkpoint(kV6, 5), {.precision = OnnxType::kInt8}, "0"), ValueError,
      "the calibration of model.0 is missing");
}

TEST_CASE("export: heads have the sizes that the convolutions' padding gives them") {
  // 32 x 48 -> 17 x 25 -> 9 x 13 -> 7 x 11
  const Checkpoint checkpoint = random_checkpoint(
      R"({"nc": 2, "anchors": [[10,13], [30,61]],
          "backbone": [[-1, 1, "Conv", [8, 4, 2]], [-1, 1, "Conv", [8, 2, 2]],
                       [-1, 1, "Conv", [8, 3, 1, 0]]],
          "head": [[[0, 2], 1, "Detect", ["nc", "anchors"]]]})",
      11);
  const Tensor images = random_pictures(1, 32, 48);
  const auto got = test::evaluate_onnx(encode_onnx(checkpoint, {.height = 32, .width = 48}, "0"),
                                       {{"images", as_floats(images)}});
  CHECK(worst_difference(got.at("output0"),
                         decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors)) <
        kFoldedTolerance);
}

TEST_CASE("export: a size that the network itself cannot take is refused") {
  // 32 x 48 -> 17 x 25 -> 9 x 13 -> 5 x 7 -> 10 x 14, beside 9 x 13
  const Checkpoint uneven =
      random_checkpoint(every_module(R"("Focus", [8, 2])", R"("SPPF", [24, 5])"), 12);
  CHECK_THROWS_AS(logits_of(uneven, random_pictures(1, 32, 48)), ShapeError);
  CHECK_THROWS_WITH_TEXT(encode_onnx(uneven, {.height = 32, .width = 48}, "0"), ValueError,
                         "model.7: its inputs have 10 x 14 and 9 x 13 cells");
  const Checkpoint wide = random_checkpoint(
      R"({"nc": 1, "anchors": [[10,13]], "backbone": [[-1, 1, "Conv", [8, 15, 2, 0]]],
          "head": [[0, 1, "Detect", ["nc", "anchors"]]]})",
      13);
  CHECK_THROWS_WITH_TEXT(encode_onnx(wide, {.height = 14, .width = 16}, "0"), ValueError,
                         "model.0: a kernel of 15 on 14 cells: the picture is too small");
}

TEST_CASE("export: a dynamic file's strides need not fit the default size") {
  const Checkpoint checkpoint = random_checkpoint(
      R"({"nc": 2, "anchors": [[10,13]], "backbone": [[-1, 1, "Conv", [8, 3, 3]]],
          "head": [[0, 1, "Detect", ["nc", "anchors"]]]})",
      14);
  const Tensor images = random_pictures(1, 9, 6);
  const auto got =
      test::evaluate_onnx(encode_onnx(checkpoint, {.shapes = OnnxShapes::kDynamic}, "0"),
                          {{"images", as_floats(images)}});
  CHECK(worst_difference(got.at("output0"),
                         decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors)) <
        kFoldedTolerance);
}

TEST_CASE("export: one dynamic file takes pictures of any batch and size, also as bytes") {
  const Checkpoint checkpoint = random_checkpoint(kV6, 6);
  for (const OnnxInput input : {OnnxInput::kFloats, OnnxInput::kBytes}) {
    OnnxOptions options;
    options.shapes = OnnxShapes::kDynamic;
    options.input = input;
    const std::string file = encode_onnx(checkpoint, options, "0");
    for (const auto& [n, h, w] : {std::array{2, 32, 16}, std::array{1, 16, 48}}) {
      const Tensor images = random_pictures(n, h, w);
      const auto got = test::evaluate_onnx(
          file, {{"images", input == OnnxInput::kBytes ? as_bytes(images) : as_floats(images)}});
      CHECK(worst_difference(got.at("output0"),
                             decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors)) <
            kFoldedTolerance);
    }
  }
}

TEST_CASE("export: logits come as the heads' convolutions give them") {
  const Checkpoint checkpoint = random_checkpoint(kV5, 7);
  const Tensor images = random_pictures(2, 16, 32);
  OnnxOptions options{.batch = 2, .height = 16, .width = 32, .output = OnnxOutput::kLogits};
  const auto got =
      test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
  const std::vector<Tensor> wanted = logits_of(checkpoint, images);  // [N,H,W,A,5+C]
  REQUIRE(got.size() == wanted.size());
  for (size_t k = 0; k < wanted.size(); ++k) {
    const test::OnnxValue& head = got.at("logits" + std::to_string(k));
    const Tensor& t = wanted[k];
    const int64_t n = t.size(0), cells = t.size(1) * t.size(2), channels = t.size(3) * t.size(4);
    REQUIRE(head.sizes == std::vector<int64_t>{n, channels, t.size(1), t.size(2)});
    double worst = 0;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t cell = 0; cell < cells; ++cell) {
        for (int64_t c = 0; c < channels; ++c) {
          worst =
              test::worse(worst, std::abs(head.numbers[size_t((i * channels + c) * cells + cell)] -
                                          t.at((i * cells + cell) * channels + c)));
        }
      }
    }
    CHECK(worst < 1e-5);
  }
}

TEST_CASE("export: detections are those of nms") {
  const Checkpoint checkpoint = random_checkpoint(kV6, 8);
  const Tensor images = random_pictures(2, 32, 32);
  const Tensor decoded =
      decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors).to(DType::kFloat32);
  for (const int64_t max_det : {300, 2}) {
    OnnxOptions options{.batch = 2, .height = 32, .width = 32, .output = OnnxOutput::kDetections};
    options.nms = {.conf = 0.2, .iou = 0.3, .max_det = max_det};
    const auto got =
        test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
    const test::OnnxValue& rows = got.at("detections");
    REQUIRE(rows.sizes.size() == 2);
    CHECK(rows.sizes[1] == 7);
    // Of several pictures max_det is a number for all of them together; a large one limits nothing.
    std::vector<std::vector<Detection>> wanted = nms(decoded, {.conf = 0.2, .iou = 0.3});
    const int64_t in_all = int64_t(wanted[0].size() + wanted[1].size());
    REQUIRE(wanted[0].size() > 4);
    REQUIRE(wanted[1].size() > 4);
    REQUIRE(rows.sizes[0] == std::min(in_all, 2 * max_det));
    std::array<size_t, 2> seen{};
    double last = 1;
    for (int64_t i = 0; i < rows.sizes[0]; ++i) {
      const double* row = rows.numbers.data() + i * 7;
      const size_t picture = size_t(row[0]);
      const Detection& d = wanted[picture].at(seen[picture]++);
      CHECK(row[6] == double(d.class_id));
      CHECK(row[5] == Approx(d.score).epsilon(1e-5));
      CHECK(row[5] <= last);
      last = row[5];
      const std::array<double, 4> box{d.x1, d.y1, d.x2, d.y2};
      for (size_t k = 0; k < 4; ++k) CHECK(row[1 + k] == Approx(box[k]).margin(1e-3));
    }
  }
}

TEST_CASE("export: a box whose classes are equally good is found as the first, as by nms") {
  Checkpoint checkpoint = random_checkpoint(kV6, 15);
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name.find("model.10.m.") == 0) tensor.fill(name.ends_with("bias") ? 2 : 0);
  }
  const Tensor images = random_pictures(1, 16, 16);
  const auto decoded =
      decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors).to(DType::kFloat32);
  for (const double iou : {0.0, 0.45}) {
    OnnxOptions options{.height = 16, .width = 16, .output = OnnxOutput::kDetections};
    options.nms.iou = iou;
    const auto got =
        test::evaluate_onnx(encode_onnx(checkpoint, options, "0"), {{"images", as_floats(images)}});
    const test::OnnxValue& rows = got.at("detections");
    const std::vector<Detection> wanted = nms(decoded, {.iou = iou}).at(0);
    REQUIRE(!wanted.empty());
    CHECK(rows.sizes[0] == int64_t(wanted.size()));
    for (int64_t i = 0; i < rows.sizes[0]; ++i) CHECK(rows.numbers[size_t(i) * 7 + 6] == 0);
  }
}

TEST_CASE("export: where nothing is found there are no rows") {
  const Checkpoint checkpoint = random_checkpoint(kV6, 9);
  OnnxOptions options{.height = 16, .width = 16, .output = OnnxOutput::kDetections};
  options.nms.conf = 1;
  const auto got = test::evaluate_onnx(encode_onnx(checkpoint, options, "0"),
                                       {{"images", as_floats(random_pictures(1, 16, 16))}});
  CHECK(got.at("detections").sizes == std::vector<int64_t>{0, 7});
}

TEST_CASE("export: in half precision the file is half as large and near") {
  const Checkpoint checkpoint = random_checkpoint(kV6, 10);
  const Tensor images = random_pictures(1, 32, 32);
  OnnxOptions options{.height = 32, .width = 32};
  const std::string full = encode_onnx(checkpoint, options, "0");
  options.precision = OnnxType::kFloat16;
  const std::string half = encode_onnx(checkpoint, options, "0");
  CHECK(double(half.size()) < 0.75 * double(full.size()));  // names and operators weigh too
  const auto got = test::evaluate_onnx(half, {{"images", as_floats(images)}});
  const double worst = worst_difference(
      got.at("output0"), decode_heads(logits_of(checkpoint, images), checkpoint.spec.anchors));
  CHECK(worst < 1);  // pixels; weights are rounded by 5e-4 of themselves
  CHECK(worst > kFoldedTolerance);
}

TEST_CASE("export: metadata names stride and classes as YOLOv5 reads them") {
  const auto metadata =
      test::onnx_metadata(encode_onnx(random_checkpoint(kV6, 1), {.height = 16, .width = 16}, "0"));
  CHECK(metadata.at("stride") == "8");
  CHECK(metadata.at("names") == R"({0: 'it\'s', 1: 'back\\slash', 2: 'c'})");
}

TEST_CASE("export: sizes, thresholds and weights that do not fit are refused") {
  Checkpoint checkpoint = random_checkpoint(kV6, 1);
  CHECK_THROWS_WITH_TEXT(encode_onnx(checkpoint, {.height = 20}, "0"), ValueError,
                         "multiples of 8, got 20 x 640");
  CHECK_THROWS_WITH_TEXT(encode_onnx(checkpoint, {.batch = 0}, "0"), ValueError,
                         "batch is 0, must be at least 1");
  OnnxOptions options;
  options.nms.iou = 2;
  CHECK_THROWS_WITH_TEXT(encode_onnx(checkpoint, options, "0"), ValueError, "iou is 2");
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (name == "model.1.bn.weight") tensor.fill(1e6);
  }
  CHECK_THROWS_WITH_TEXT(encode_onnx(checkpoint, {.precision = OnnxType::kFloat16}, "0"),
                         ValueError, "too large for float16");
  checkpoint.tensors.pop_back();  // the anchors, which the description has too
  checkpoint.tensors.pop_back();
  CHECK_THROWS_WITH_TEXT(encode_onnx(checkpoint, {}, "0"), ValueError, "is missing");
}

}  // namespace
}  // namespace ydistill
