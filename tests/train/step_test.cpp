// SPDX-License-Identifier: MIT
#include <ydistill/train/step.h>

#include <algorithm>
#include <cmath>

#include <ydistill/tensor/random.h>

#include "support/catch.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

/// A tiny student in float64 whose features alone are taught.
struct FeatureStep {
  Model student;
  Tensor images = Tensor::empty({2, 64, 64, 3}, DType::kUInt8);
  StepLosses losses;
  ForwardBackwardOptions options;

  FeatureStep(const std::vector<int64_t>& channels, TapeKeeps keeps)
      : student(graph_from_json(test::tiny_graph()), DType::kFloat64,
                {.feature_channels = channels}) {
    student.initialise(1);
    student.set_tape_keeps(keeps);
    Rng rng(2);
    for (uint8_t& byte : images.span<uint8_t>()) byte = uint8_t(rng.below(256));
    losses.feature_gain = 1.5;
    const std::vector<int64_t> wanted = channels.empty() ? std::vector<int64_t>{24, 32} : channels;
    for (size_t k = 0; k < 2; ++k) {
      const int64_t side = k == 0 ? 8 : 4;
      options.teacher_features.push_back(
          rng.uniform({2, side, side, wanted[k]}, -1, 1, DType::kFloat64));
    }
  }
  StepResult run() {
    student.parameters().mark_changed();
    return forward_backward(student, images, Tensor::zeros({0, 6}), {}, losses, options);
  }
};

// Batch norm's running statistics move with each run, and nothing here reads them.
TEST_CASE("step: the feature term's gradient is that of finite differences in every layer") {
  for (const std::vector<int64_t>& channels :
       {std::vector<int64_t>(), std::vector<int64_t>{24, 40}, std::vector<int64_t>{16, 64}}) {
    for (const TapeKeeps keeps : {TapeKeeps::kAll, TapeKeeps::kLeast}) {
      INFO(channels.size() << " scales projected, keeps " << int(keeps));
      FeatureStep step(channels, keeps);
      const StepResult result = step.run();
      CHECK(result.grad_heads.empty());
      CHECK(result.feature_term.at(0) > 1);
      const ParameterStore& store = step.student.parameters();
      const Tensor analytic = store.grads().clone();
      const std::span<double> values = store.values().span<double>();
      double largest = 0, worst = 0;
      for (size_t i = 0; i < values.size(); i += values.size() / 97) {
        const double kept = values[i], h = 1e-6;
        values[i] = kept + h;
        const double above = step.run().feature_term.at(0);
        values[i] = kept - h;
        const double below = step.run().feature_term.at(0);
        values[i] = kept;
        const double numeric = (above - below) / (2 * h);
        largest = std::max(largest, std::abs(numeric));
        worst = std::max(worst, std::abs(analytic.at(int64_t(i)) - numeric));
      }
      CHECK(largest > 1e-3);
      CHECK(worst < 1e-7);
    }
  }
}

TEST_CASE("step: the feature term adds its gradient to those of the other losses") {
  const auto grads = [](bool detects, bool has_features) {
    FeatureStep step({}, TapeKeeps::kAll);
    step.losses.student_anchors = step.student.spec().anchors;
    if (detects) step.losses.detection.emplace();
    if (!has_features) step.losses.feature_gain = 0;
    step.run();
    return step.student.parameters().grads().clone();
  };
  const Tensor both = grads(true, true), one = grads(true, false), other = grads(false, true);
  for (int64_t i = 0; i < both.numel(); ++i) {
    if (!(std::abs(both.at(i) - one.at(i) - other.at(i)) < 1e-12)) {
      FAIL("element " << i << ": " << both.at(i) << ", alone " << one.at(i) << " and "
                      << other.at(i));
    }
  }
}

TEST_CASE("step: without any loss it is refused") {
  FeatureStep step({}, TapeKeeps::kAll);
  step.losses.feature_gain = 0;
  CHECK_THROWS_WITH_TEXT(step.run(), ShapeError, "2 outputs, 0 gradients");
}

TEST_CASE("step: maps of a teacher that are not the student's are refused by scale") {
  FeatureStep step({24, 40}, TapeKeeps::kAll);
  step.options.teacher_features.pop_back();
  CHECK_THROWS_WITH_TEXT(step.run(), ShapeError, "maps of 2 scales, the teacher of 1");
}

}  // namespace
}  // namespace ydistill
