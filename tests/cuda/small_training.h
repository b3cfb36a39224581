// SPDX-License-Identifier: MIT
// A student with teacher, optimizer and runner, small enough for the emulator.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include <ydistill/distill/teacher.h>
#include <ydistill/tensor/random.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "support/worst.h"
#include "train/tiny_data.h"

namespace ydistill::test {

inline constexpr Compute kGpuFp32{Device::cuda(), Precision::kFp32};
inline constexpr Compute kGpuBf16{Device::cuda(), Precision::kBf16};

inline GraphSpec small_graph() {
  return graph_from_json(tiny_graph());
}

inline Batch make_batch(int64_t pictures, uint64_t seed) {
  Batch batch;
  Rng rng(seed);
  batch.images = Tensor::empty({pictures, 64, 64, 3}, DType::kUInt8);
  for (uint8_t& byte : batch.images.span<uint8_t>()) byte = uint8_t(rng.below(256));
  std::vector<float> rows;
  for (int64_t i = 0; i < pictures; ++i) {
    for (const float v : {float(i), float(i % 2), 0.3f + 0.1f * float(i), 0.5f, 0.3f, 0.2f}) {
      rows.push_back(v);
    }
  }
  batch.targets = Tensor::of<float>({pictures, 6}, rows);
  batch.labelled.assign(size_t(pictures), 1);
  return batch;
}

/// Largest difference as a share of the largest number.
inline double difference(const Tensor& got, const Tensor& expected) {
  const Tensor a = got.to(Device::cpu()).to(DType::kFloat64);
  const Tensor b = expected.to(Device::cpu()).to(DType::kFloat64);
  REQUIRE(a.shape() == b.shape());
  double scale = 1e-12, worst = 0;
  for (const double v : b.span<double>()) scale = std::max(scale, std::abs(v));
  for (int64_t i = 0; i < a.numel(); ++i) {
    const double error = std::abs(a.at(i) - b.at(i));
    worst = worse(worst, error);
  }
  return worst / scale;
}

/// A student, its optimizer and a runner over them.
struct Training {
  std::unique_ptr<Model> student;
  std::unique_ptr<Teacher> teacher;
  StepLosses losses;
  std::unique_ptr<Optimizer> sgd;
  std::unique_ptr<StepRunner> runner;

  /// feature_gain: above 0 the teacher is twice as wide and teaches its features too.
  /// other_classes: so many more the teacher knows, the first of which, where there are several, is
  /// the student's first class too.
  explicit Training(const Compute& compute, Exchange& exchange = single_process(),
                    double feature_gain = 0, int64_t other_classes = 0) {
    use_compute(compute);
    const GraphSpec graph = feature_gain > 0 ? graph_from_json(wide_tiny_graph()) : small_graph();
    const int64_t classes = small_graph().num_classes;
    Model source(other_classes > 0 ? graph.with_classes(classes + other_classes) : graph);
    TrainedParts parts;
    if (feature_gain > 0) parts.feature_channels = source.spec().detect().in_channels;
    student = std::make_unique<Model>(small_graph(), compute, parts);
    student->initialise(3);
    source.initialise(4);
    Checkpoint checkpoint;
    checkpoint.spec = source.spec();
    checkpoint.tensors = export_weights(source);
    std::vector<int64_t> sizes(size_t(classes), 1);
    if (other_classes > 1) ++sizes.front();
    teacher = std::make_unique<Teacher>(checkpoint, compute, sizes);
    losses.student_anchors = losses.teacher_anchors = student->spec().anchors;
    losses.detection.emplace();
    losses.distill.emplace();
    losses.feature_gain = feature_gain;
    sgd = std::make_unique<Optimizer>(student->parameters(), EmaOptions{});
    runner = make_step_runner(*student, teacher.get(), *sgd, losses,
                              Arena::create(int64_t(1) << 30, compute.device), nullptr, exchange);
  }

  StepSums steps(const std::vector<Batch>& batches) {
    OptimizerRates rates;
    rates.lr = {0.01, 0.01, 0.05};
    rates.weight_decay = 5e-4;
    rates.clip_norm = 10;
    for (const Batch& batch : batches) {
      runner->accumulate(batch);
      runner->step(rates);
      rates.lr[0] *= 0.9;
    }
    return runner->take();
  }
  const Tensor& weights() const { return student->parameters().values(); }
};

}  // namespace ydistill::test
