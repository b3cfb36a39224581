// SPDX-License-Identifier: MIT
// The memory that is predicted against the memory that is taken.
#include <ydistill/train/memory_plan.h>

#include <algorithm>
#include <cstring>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/train/data_sources.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/losses_of_config.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/train/validation_memory.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "train/tiny_run.h"

namespace ydistill {
namespace {

constexpr int64_t kSide = 64;

/// A tiny student with a teacher of the same graph, or of a wider one that teaches features too.
struct TinyStep {
  Model student;
  std::unique_ptr<Teacher> teacher;
  StepLosses losses;

  explicit TinyStep(Precision precision = Precision::kFp32, double feature_gain = 0,
                    bool is_wide = false)
      : student(
            graph_from_json(test::tiny_graph()), Compute{Device::cpu(), precision},
            {.feature_channels = is_wide ? std::vector<int64_t>{48, 64} : std::vector<int64_t>()}) {
    student.initialise(1);
    Model source(graph_from_json(is_wide ? test::wide_tiny_graph() : test::tiny_graph()));
    source.initialise(1);
    const Checkpoint checkpoint{source.spec(), {"wide", "high"}, export_weights(source), {}, ""};
    losses.feature_gain = feature_gain;
    teacher = std::make_unique<Teacher>(checkpoint, Compute{Device::cpu(), precision});
    losses.student_anchors = losses.teacher_anchors = student.spec().anchors;
    losses.detection.emplace();
    losses.distill.emplace();
  }

  static Batch batch(int64_t pictures) {
    Batch batch;
    batch.images = Tensor::empty({pictures, kSide, kSide, 3}, DType::kUInt8);
    const auto pixels = batch.images.span<uint8_t>();
    for (size_t i = 0; i < pixels.size(); ++i) pixels[i] = uint8_t(i * 7919 >> 3);
    std::vector<float> rows;
    for (int64_t i = 0; i < pictures; ++i) {
      for (const float v : {float(i), 1.0f, 0.4f, 0.6f, 0.3f, 0.4f}) rows.push_back(v);
    }
    batch.targets = Tensor::of<float>({pictures, 6}, rows);
    batch.labelled.assign(size_t(pictures), 1);
    return batch;
  }

  /// Of a real step, in bytes.
  int64_t run(int64_t pictures) {
    Optimizer optimizer(student.parameters(), {});
    const auto runner = make_step_runner(student, teacher.get(), optimizer, losses,
                                         Arena::create(int64_t(1) << 30));
    runner->accumulate(batch(pictures));
    return runner->memory_bytes();
  }
  StepMemory predict(int64_t pictures) {
    return memory_of_step(student, teacher.get(), losses, pictures, kSide);
  }
};

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.raw(), b.raw(), size_t(a.nbytes())) == 0;
}

TEST_CASE("memory: a dry run finds the arena of the real step to the byte") {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const TapeKeeps keeps : {TapeKeeps::kAll, TapeKeeps::kLeast}) {
      for (const int64_t pictures : {1, 3}) {
        TinyStep step(precision);
        step.student.set_tape_keeps(keeps);
        INFO("precision " << int(precision) << ", keeps " << int(keeps) << ", " << pictures);
        const int64_t predicted = step.predict(pictures).arena_bytes;
        CHECK(predicted == step.run(pictures));
        CHECK(step.predict(pictures).arena_bytes == predicted);  // also when all is planned
      }
    }
  }
}

TEST_CASE("memory: a dry run finds what the feature term and FM-NMS take, to the byte") {
  int64_t without = 0;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    for (const TapeKeeps keeps : {TapeKeeps::kAll, TapeKeeps::kLeast}) {
      for (const bool is_wide : {false, true}) {
        INFO("precision " << int(precision) << ", keeps " << int(keeps) << ", wide " << is_wide);
        TinyStep step(precision, 2, is_wide);
        step.student.set_tape_keeps(keeps);
        CHECK(step.predict(3).arena_bytes == step.run(3));
        step.losses.distill->fm_nms = true;
        CHECK(step.predict(3).arena_bytes == step.run(3));
        step.losses.distill->fm_nms = false;
        if (precision == Precision::kFp32 && keeps == TapeKeeps::kAll && !is_wide) {
          // The teacher's maps and the gradients of the student's, no third copy: 8x8x24 and 4x4x32
          // numbers a picture.
          without = TinyStep(precision).predict(3).arena_bytes;
          const double maps = 3 * 4 * (64 * 24 + 16 * 32);
          CHECK(double(step.predict(3).arena_bytes - without) < 2.5 * maps);
        }
      }
    }
  }
  CHECK(without > 0);
}

TEST_CASE("memory: a dry run leaves parameters, gradients and statistics as they were") {
  TinyStep step, untouched;
  step.run(2);
  untouched.run(2);
  step.predict(5);
  const ParameterStore &a = step.student.parameters(), &b = untouched.student.parameters();
  CHECK(same_bits(a.values(), b.values()));
  CHECK(same_bits(a.grads(), b.grads()));
  CHECK(same_bits(a.statistics(), b.statistics()));
  step.run(2);
  untouched.run(2);
  CHECK(same_bits(a.grads(), b.grads()));
}

TEST_CASE("recompute: gradients and statistics have the same bits in less memory") {
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    INFO("precision " << int(precision));
    TinyStep kept(precision), anew(precision);
    anew.student.set_tape_keeps(TapeKeeps::kLeast);
    const int64_t with = kept.run(12), without = anew.run(12);
    const ParameterStore &a = kept.student.parameters(), &b = anew.student.parameters();
    CHECK(square_sum(a.grads()) > 0);
    CHECK(same_bits(a.grads(), b.grads()));
    CHECK(same_bits(a.statistics(), b.statistics()));
    CHECK(double(without) < 0.9 * double(with));
  }
}

TEST_CASE("memory: the largest number below a limit is found on a line and near one") {
  CHECK(largest_below(1000, [](int64_t n) { return 100 + 7 * n; }) == 128);
  CHECK(largest_below(1000, [](int64_t n) { return 100 + 7 * n + 40 * (n % 2); }) == 128);
  CHECK(largest_below(106, [](int64_t n) { return 100 + 7 * n; }) == 0);
  CHECK(largest_below(107, [](int64_t n) { return 100 + 7 * n; }) == 1);
}

TEST_CASE("memory: a plan's batch fits and the next does not") {
  const test::TinyRun run;
  const TrainingMemory memory(run.config({"train.cache=none"}), [](const std::string&) {});
  CHECK(memory.batch() == 4);
  CHECK(memory.side() == 64);
  const int64_t limit = int64_t(3) << 20;
  const int64_t fits = memory.largest_batch_by_step(limit);
  REQUIRE(fits >= 1);
  CHECK(memory.plan(fits).step_bytes <= limit);
  CHECK(memory.plan(fits + 1).step_bytes > limit);
  const int64_t total = memory.plan(9).total_bytes();
  CHECK(memory.largest_batch(total) == 9);
  CHECK(memory.largest_batch(memory.plan(1).total_bytes() - 1) == 0);
}

TEST_CASE("memory: validation's arena is known to the byte before it is done") {
  const test::TinyRun run;
  const Config config = run.config({"val.batch=4"});
  const auto pictures =
      std::make_shared<const Dataset>(load_source(val_source(config), reading_of(config)));
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  model.prepare_inference();
  const StepLosses losses = losses_of(config, model, nullptr);
  const ValidationMemory memory(config, pictures, model.spec(), losses, nullptr, {});
  EvaluateOptions options;
  options.val = config.val;
  options.loss = *losses.detection;
  const auto arena = Arena::create(int64_t(1) << 30);
  {
    const ArenaScope scope(arena);
    evaluate(model, pictures, options);
  }
  CHECK(memory.arena_bytes() == arena->peak_bytes());
  CHECK(memory.batch_shapes().at(0)[0] == 4);
  const int64_t limit = memory.arena_bytes(3);
  CHECK(memory.largest_batch(limit) == 3);
  CHECK(memory.largest_batch(memory.arena_bytes(1) - 1) == 0);
}

TEST_CASE("memory: what validation takes and the batch that fits are in the plan") {
  const test::TinyRun run;
  const TrainingMemory memory(run.config({"train.cache=none", "val.image_size=320"}),
                              [](const std::string&) {});
  const MemoryPlan plan = memory.plan(1);
  CHECK(plan.validation_bytes > plan.step_bytes);
  CHECK(std::any_of(plan.parts.begin(), plan.parts.end(), [&](const MemoryPlan::Part& part) {
    return part.name == "activations" && part.bytes == plan.validation_bytes;
  }));
  CHECK(memory.largest_validation_batch(plan.validation_bytes) == 6);  // all there are
  CHECK(memory.largest_validation_batch(plan.validation_bytes - 1) == 5);
}

TEST_CASE("memory: a cache and a teacher show in the plan") {
  const test::TinyRun run;
  const auto total = [&](const std::string& override) {
    return TrainingMemory(run.config({override}), [](const std::string&) {}).plan().total_bytes();
  };
  const int64_t plain = total("train.cache=none");
  CHECK(total("train.cache=ram") == plain + 12 * 64 * 64 * 3);
  test::QuietEvents taught;
  const TrainOutcome outcome = train(run.config({"train.epochs=1"}), taught);
  const std::string weights = (outcome.run / "weights/best.safetensors").string();
  const MemoryPlan distilled =
      TrainingMemory(run.config({"teacher={\"weights\":\"" + weights + "\"}"}),
                     [](const std::string&) {})
          .plan();
  CHECK(std::any_of(distilled.parts.begin(), distilled.parts.end(),
                    [](const MemoryPlan::Part& part) { return part.name == "teacher"; }));
  // In 8 bits the teacher is smaller.
  const auto teacher_bytes = [](const MemoryPlan& plan) {
    return std::find_if(plan.parts.begin(), plan.parts.end(),
                        [](const MemoryPlan::Part& part) { return part.name == "teacher"; })
        ->bytes;
  };
  Checkpoint checkpoint = load_checkpoint(weights, PtWeights::kEma);
  const auto model = build_inference_model(checkpoint, {});
  Calibrator calibrator(*model);
  calibrator.add(Tensor::full({1, 64, 64, 3}, 90, DType::kUInt8));
  checkpoint.calibration = calibrator.result();
  const std::string calibrated = (run.dir / "int8.safetensors").string();
  save_checkpoint(calibrated, checkpoint);
  const MemoryPlan in_bytes =
      TrainingMemory(
          run.config({"teacher={\"weights\":\"" + calibrated + "\"}", "teacher.precision=int8"}),
          [](const std::string&) {})
          .plan();
  CHECK(teacher_bytes(in_bytes) < teacher_bytes(distilled) / 2);
  CHECK(teacher_bytes(in_bytes) > model->parameters().num_elements() * 9 / 10);
  // Features count where a layer learns from them.
  const auto step_bytes = [&](const std::string& feature, const std::string& freeze) {
    return TrainingMemory(run.config({"teacher={\"weights\":\"" + weights + "\"}",
                                      "distill.feature=" + feature, "train.freeze=" + freeze}),
                          [](const std::string&) {})
        .plan()
        .step_bytes;
  };
  const std::string all = "[\"model.0-8\"]";
  CHECK(step_bytes("1", all) == step_bytes("0", all));
  CHECK(step_bytes("1", "[]") > step_bytes("0", "[]"));
}

}  // namespace
}  // namespace ydistill
