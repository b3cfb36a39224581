// SPDX-License-Identifier: MIT
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/select_classes.h>

#include "support/catch.h"
#include "support/files.h"

namespace ydistill {
namespace {

constexpr int64_t kClasses = 7;

const Tensor& pictures() {
  static const Tensor images = Rng(3).uniform({2, 64, 64, 3}, 0, 255).to(DType::kUInt8);
  return images;
}

/// yolov5n with heads whose classes differ.
Checkpoint detector() {
  Model model(graph_by_name("yolov5n", kClasses));
  model.initialise(5);
  Checkpoint checkpoint{model.spec(), {}, export_weights(model), {{"epoch", "9"}}, "test", {}};
  for (int64_t c = 0; c < kClasses; ++c)
    checkpoint.class_names.push_back(std::string(1, char('a' + c)));
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (!name.starts_with("model.24.m.")) continue;
    tensor = Rng(uint64_t(name.size())).uniform(tensor.shape(), -1, 1);
  }
  return checkpoint;
}

std::vector<Var> logits_of(const Checkpoint& checkpoint, Precision precision = Precision::kFp32) {
  const NoGrad no_grad;
  const auto model = build_inference_model(checkpoint, {Device::cpu(), precision});
  return model->forward(pictures(), ForwardMode::kInference);
}

/// Largest difference of a box's first five channels and of the classes `from` -> `to`.
double difference(const std::vector<Var>& whole, const std::vector<Var>& selected,
                  const std::vector<int64_t>& classes) {
  double worst = 0;
  for (size_t k = 0; k < whole.size(); ++k) {
    const Tensor a = whole[k].value(), b = selected[k].value();
    const int64_t width = 5 + int64_t(classes.size());
    CHECK(b.size(4) == width);
    for (int64_t i = 0; i < b.numel() / width; ++i) {
      for (int64_t c = 0; c < width; ++c) {
        const int64_t from = c < 5 ? c : 5 + classes[size_t(c - 5)];
        const double expected =
            c >= 5 && classes[size_t(c - 5)] == kNoClass ? kNeverLogit : a.at(i * a.size(4) + from);
        worst = std::max(worst, std::abs(b.at(i * width + c) - expected));
      }
    }
  }
  return worst;
}

TEST_CASE("select_classes: the logits of the classes that stay are what they were") {
  const Checkpoint whole = detector();
  const std::vector<int64_t> classes{5, 0, kNoClass, 3};
  const Checkpoint selected = select_classes(whole, classes, {"f", "a", "new", "d"});
  CHECK(selected.spec.num_classes == 4);
  CHECK(selected.spec.name == whole.spec.name);
  CHECK(selected.class_names == std::vector<std::string>{"f", "a", "new", "d"});
  CHECK(difference(logits_of(whole), logits_of(selected), classes) < 1e-5);
  // A head of another width is laid out anew: other sums, the same bits of bfloat16 but for those.
  CHECK(difference(logits_of(whole, Precision::kBf16), logits_of(selected, Precision::kBf16),
                   classes) < 1e-3);
}

TEST_CASE("select_classes: a calibrated network stays calibrated, and what is written is read") {
  Checkpoint whole = detector();
  const auto model = build_inference_model(whole, {});
  Calibrator calibrator(*model);
  calibrator.add(pictures());
  whole.calibration = calibrator.result();
  const std::vector<int64_t> classes{6, kNoClass, 1};
  const Checkpoint selected = select_classes(whole, classes, {"g", "new", "b"});
  CHECK(difference(logits_of(whole, Precision::kInt8), logits_of(selected, Precision::kInt8),
                   classes) < 1e-4);
  const test::TempDir dir;
  save_checkpoint(dir / "w.safetensors", selected, StoredWeights::kBytes);
  const Checkpoint read = load_checkpoint(dir / "w.safetensors", PtWeights::kEma);
  CHECK(read.class_names == selected.class_names);
  CHECK(difference(logits_of(whole, Precision::kInt8), logits_of(read, Precision::kInt8), classes) <
        0.05);
}

TEST_CASE("select_classes: classes that are not there are refused") {
  const Checkpoint whole = detector();
  CHECK_THROWS_WITH_TEXT(select_classes(whole, {7}, {"x"}), ValueError,
                         "class 7 is none of the 7 that the network knows");
  CHECK_THROWS_AS(select_classes(whole, {-2}, {"x"}), ValueError);
  CHECK_THROWS_WITH_TEXT(select_classes(whole, {1}, {}), ValueError, "0 names for 1 classes");
  CHECK_THROWS_AS(select_classes(whole, {}, {}), ValueError);
}

}  // namespace
}  // namespace ydistill
