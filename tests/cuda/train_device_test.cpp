// SPDX-License-Identifier: MIT
// Whole networks and whole runs on the GPU beside the CPU's.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include <ydistill/detect/detector.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>
#include <ydistill/train/step_runner.h>
#include <ydistill/train/trainer.h>
#include <ydistill/yolo/checkpoint.h>

#include "cuda/gpu.h"
#include "cuda/small_training.h"
#include "support/files.h"
#include "support/worst.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

using test::difference;
using test::kGpuBf16;
using test::kGpuFp32;
using test::make_batch;
using test::small_graph;
using test::Training;

std::vector<Batch> five_batches() {
  std::vector<Batch> batches;
  for (uint64_t seed = 0; seed < 5; ++seed) batches.push_back(make_batch(4, seed));
  return batches;
}

// Five steps multiply the rounding of one; float32 sums in another order part by 1e-6 a step.
TEST_CASE("gpu: steps of training agree with the CPU's while graphs are captured and replayed") {
  YD_NEEDS_GPU();
  Training gpu(kGpuFp32), cpu(Compute{});
  const StepSums got = gpu.steps(five_batches()), expected = cpu.steps(five_batches());
  CHECK(got.box == Approx(expected.box).epsilon(1e-4));
  CHECK(got.obj == Approx(expected.obj).epsilon(1e-4));
  CHECK(got.cls == Approx(expected.cls).epsilon(1e-4));
  CHECK(got.distill() == Approx(expected.distill()).epsilon(1e-4));
  CHECK(got.detection_square == Approx(expected.detection_square).epsilon(1e-3));
  CHECK(got.distill_square == Approx(expected.distill_square).epsilon(1e-3));
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
  CHECK(difference(gpu.sgd->ema_values(), cpu.sgd->ema_values()) < 1e-4);
  CHECK(difference(gpu.student->parameters().statistics(), cpu.student->parameters().statistics()) <
        1e-4);
}

TEST_CASE("gpu: steps with features and FM-NMS agree with the CPU's while graphs are replayed") {
  YD_NEEDS_GPU();
  Training gpu(kGpuFp32, single_process(), 1.5), cpu(Compute{}, single_process(), 1.5);
  Training without(Compute{}), with_all_boxes(Compute{}, single_process(), 1.5);
  gpu.losses.distill->fm_nms = cpu.losses.distill->fm_nms = true;
  const StepSums got = gpu.steps(five_batches()), expected = cpu.steps(five_batches());
  CHECK(expected.distill_feature > 1);
  CHECK(got.distill_feature == Approx(expected.distill_feature).epsilon(1e-4));
  CHECK(got.box == Approx(expected.box).epsilon(1e-4));
  CHECK(got.distill_box == Approx(expected.distill_box).epsilon(1e-4));
  CHECK(got.distill_box < 0.9 * with_all_boxes.steps(five_batches()).distill_box);
  CHECK(got.detection_square == Approx(expected.detection_square).epsilon(1e-3));
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
  CHECK(difference(gpu.sgd->ema_values(), cpu.sgd->ema_values()) < 1e-4);
  CHECK(without.steps(five_batches()).distill_feature == 0);
  Training bf16(kGpuBf16, single_process(), 1.5);
  CHECK(bf16.steps(five_batches()).distill_feature ==
        Approx(expected.distill_feature).epsilon(0.02));
}

TEST_CASE(
    "gpu: steps by a teacher of more classes agree with the CPU's while graphs are replayed") {
  YD_NEEDS_GPU();
  Training gpu(kGpuFp32, single_process(), 0, 3), cpu(Compute{}, single_process(), 0, 3);
  for (Training* training : {&gpu, &cpu}) {
    DistillOptions& options = *training->losses.distill;
    options.kind = DistillKind::kKl;
    options.objectness = DistillObjectness::kBce;
    options.mean = DistillMean::kObjects;
  }
  const StepSums got = gpu.steps(five_batches()), expected = cpu.steps(five_batches());
  CHECK(expected.distill_cls > 0);
  CHECK(got.distill_box == Approx(expected.distill_box).epsilon(1e-4));
  CHECK(got.distill_obj == Approx(expected.distill_obj).epsilon(1e-4));
  CHECK(got.distill_cls == Approx(expected.distill_cls).epsilon(1e-3));
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
  CHECK(difference(gpu.sgd->ema_values(), cpu.sgd->ema_values()) < 1e-4);
}

// bfloat16 rounds each activation by up to 2^-9; the weights move by a few per cent of their size.
TEST_CASE("gpu: steps in bfloat16 stay near those in float32") {
  YD_NEEDS_GPU();
  Training bf16(kGpuBf16), fp32(kGpuFp32);
  const StepSums got = bf16.steps(five_batches()), expected = fp32.steps(five_batches());
  CHECK(got.box == Approx(expected.box).epsilon(0.02));
  CHECK(got.obj == Approx(expected.obj).epsilon(0.02));
  CHECK(difference(bf16.weights(), fp32.weights()) < 0.02);
  CHECK(difference(bf16.weights(), fp32.weights()) > 1e-6);  // it did compute in bfloat16
}

TEST_CASE("gpu: test-time augmentation finds what it finds on the CPU, while graphs are replayed") {
  YD_NEEDS_GPU();
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  const Checkpoint checkpoint{model.spec(), {"wide", "high"}, export_weights(model), {}, ""};
  DetectorOptions options{.conf = 0.0001, .image_size = 64};
  options.tta = true;
  Detector cpu(checkpoint, options);
  options.compute = kGpuFp32;
  Detector gpu(checkpoint, options);
  // The first view and the second have one shape, 64 x 48.
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Image image = Image::filled(64, 48, 0);
    Rng rng(seed);
    for (uint8_t& byte : image.rgb) byte = uint8_t(rng.below(256));
    const auto expected = cpu.detect(image), got = gpu.detect(image);
    REQUIRE_FALSE(expected.empty());
    REQUIRE(got.size() == expected.size());
    for (size_t i = 0; i < got.size(); ++i) {
      CHECK(got[i].score == Approx(expected[i].score).epsilon(1e-3));
      CHECK(got[i].x1 == Approx(expected[i].x1).margin(0.05));
      CHECK(got[i].y2 == Approx(expected[i].y2).margin(0.05));
    }
  }
}

TEST_CASE("gpu: of two detectors each keeps its own precision") {
  YD_NEEDS_GPU();
  Model model(graph_from_json(test::tiny_graph()));
  model.initialise(1);
  const Checkpoint checkpoint{model.spec(), {"wide", "high"}, export_weights(model), {}, ""};
  DetectorOptions options{.image_size = 160};
  options.compute = kGpuFp32;
  Detector fp32(checkpoint, options);
  options.compute.precision = Precision::kTf32;
  Detector tf32(checkpoint, options);
  const auto plans_in_tf32 = [] {
    const std::vector<std::string> plans = conv_plan_report(Device::cuda());
    return std::count_if(plans.begin(), plans.end(),
                         [](const std::string& plan) { return plan.starts_with("tf32"); });
  };
  const Image image = Image::filled(160, 160, 90);  // no other test has plans for this size
  const auto before = plans_in_tf32();
  fp32.detect(image);
  CHECK(plans_in_tf32() == before);
  tf32.detect(image);
  CHECK(plans_in_tf32() > before);
}

TEST_CASE("gpu: two trainings give the same bits") {
  YD_NEEDS_GPU();
  Training a(kGpuBf16), b(kGpuBf16);
  a.steps(five_batches());
  b.steps(five_batches());
  CHECK(difference(a.weights(), b.weights()) == 0);
}

TEST_CASE("gpu: weights that others change between captured steps in bfloat16 are seen") {
  YD_NEEDS_GPU();
  Training changed(kGpuBf16), fresh(kGpuBf16);
  const std::vector<Batch> batches = five_batches();
  changed.steps(batches);
  // Everything that a step starts from, as it was in the beginning.
  const auto copy = [](const Tensor& to, const Tensor& from) { to.copy_from(from); };
  ParameterStore& store = changed.student->parameters();
  copy(store.values(), fresh.weights());
  copy(store.statistics(), fresh.student->parameters().statistics());
  store.mark_changed();
  const StepSums got = changed.steps({batches[0]}), expected = fresh.steps({batches[0]});
  CHECK(got.box == expected.box);
  CHECK(got.obj == expected.obj);
}

TEST_CASE("gpu: batches of other sizes and more targets than before go on without a mistake") {
  YD_NEEDS_GPU();
  std::vector<Batch> batches = five_batches();
  batches.push_back(make_batch(3, 7));
  batches.push_back(make_batch(4, 8));
  batches.push_back(make_batch(3, 9));
  Batch crowded = make_batch(4, 10);
  std::vector<float> rows;
  for (int64_t i = 0; i < 200; ++i) {
    for (const float v :
         {float(i / 50), float(i % 2), 0.1f + 0.004f * float(i), 0.5f, 0.2f, 0.3f}) {
      rows.push_back(v);
    }
  }
  crowded.targets = Tensor::of<float>({200, 6}, rows);
  batches.push_back(crowded);
  batches.push_back(make_batch(4, 11));
  Training gpu(kGpuFp32), cpu(Compute{});
  gpu.steps(batches);
  cpu.steps(batches);
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-3);
}

TEST_CASE("gpu: pictures without labels teach only through the teacher") {
  YD_NEEDS_GPU();
  Batch batch = make_batch(4, 1);
  batch.labelled = {1, 0, 1, 0};
  std::vector<float> rows;
  for (const float picture : {0.0f, 2.0f}) {
    for (const float v : {picture, 1.0f, 0.4f, 0.5f, 0.3f, 0.2f}) rows.push_back(v);
  }
  batch.targets = Tensor::of<float>({2, 6}, rows);
  Training gpu(kGpuFp32), cpu(Compute{});
  const StepSums got = gpu.steps({batch, batch, batch}),
                 expected = cpu.steps({batch, batch, batch});
  CHECK(got.obj == Approx(expected.obj).epsilon(1e-4));
  CHECK(difference(gpu.weights(), cpu.weights()) < 1e-4);
}

TEST_CASE("gpu: a gradient that is not finite changes no weight and is reported") {
  YD_NEEDS_GPU();
  Training broken(kGpuFp32);
  broken.student->parameters().grads().fill(std::numeric_limits<double>::infinity());
  const Tensor start = broken.weights().to(Device::cpu());
  const StepSums sums = broken.steps({make_batch(4, 0)});
  CHECK(sums.skipped_steps == 1);
  CHECK(difference(broken.weights(), start) == 0);
}

class Quiet : public TrainEvents {
 public:
  explicit Quiet(int64_t stop_after = -1) : stop_after_(stop_after) {}
  void message(const std::string& line) override { log += line + "\n"; }
  void step(const StepProgress&) override {}
  void started(const std::filesystem::path&, int64_t) override { has_started_ = true; }
  void epoch(const EpochResult& result, int64_t, double) override { results.push_back(result); }
  /// Asked before an epoch's first batch and after each batch; before the run starts it is not.
  bool stop_requested() override {
    return has_started_ && stop_after_ >= 0 && asked_++ >= stop_after_;
  }
  std::string log;
  std::vector<EpochResult> results;

 private:
  int64_t stop_after_, asked_ = 0;
  bool has_started_ = false;
};

struct Setup {
  test::TempDir dir;
  Setup() {
    test::write_tiny_set(dir / "train", 10);
    test::write_tiny_set(dir / "val", 4, 2);
    test::write_file(dir / "graph.json", test::tiny_graph());
  }
  Config config(const std::string& device, std::vector<std::string> overrides = {}) const {
    const std::string text = fmt::format(
        R"({{"model": {{"graph": "graph.json"}},
             "data": {{"train": {{"yolo": "train/images"}}, "val": {{"yolo": "val/images"}}, "names": ["wide", "high"]}},
             "train": {{"epochs": 3, "batch": 4, "image_size": 64, "nominal_batch": 8, "warmup_min_iterations": 4, "workers": 1}},
             "device": "{}", "precision": "fp32",
             "run": {{"dir": "{}", "name": "{}"}}}})",
        device, (dir / "runs").string(), device);
    return parse_config(text, dir.path(), overrides);
  }
};

/// True if all tensors of both checkpoints have the same bits.
bool same_checkpoint(const std::filesystem::path& a, const std::filesystem::path& b) {
  const TensorFile x = read_safetensors(a / "weights/last.safetensors");
  const TensorFile y = read_safetensors(b / "weights/last.safetensors");
  if (x.tensors.size() != y.tensors.size()) return false;
  for (const auto& [name, tensor] : x.tensors) {
    if (std::memcmp(tensor.raw(), y.at(name).raw(), size_t(tensor.nbytes())) != 0) return false;
  }
  return true;
}

TEST_CASE("gpu: a whole run logs what the CPU's run logs") {
  YD_NEEDS_GPU();
  const Setup setup;
  Quiet on_gpu, on_cpu;
  train(setup.config("cuda"), on_gpu);
  train(setup.config("cpu"), on_cpu);
  INFO(on_gpu.log);
  CHECK(on_gpu.log.find("cuda:0") != std::string::npos);
  REQUIRE(on_gpu.results.size() == on_cpu.results.size());
  for (size_t i = 0; i < on_gpu.results.size(); ++i) {
    const EpochResult &a = on_gpu.results[i], &b = on_cpu.results[i];
    CHECK(a.train_box == Approx(b.train_box).epsilon(1e-3));
    CHECK(a.train_obj == Approx(b.train_obj).epsilon(1e-3));
    CHECK(a.train_cls == Approx(b.train_cls).epsilon(1e-3));
    CHECK(a.val_box == Approx(b.val_box).epsilon(1e-3));
    CHECK(a.val_obj == Approx(b.val_obj).epsilon(1e-3));
    CHECK(a.map50 == Approx(b.map50).margin(0.02));
  }
}

TEST_CASE("gpu: a run that was stopped and resumed equals the uninterrupted one bit for bit") {
  YD_NEEDS_GPU();
  const Setup setup;
  Quiet whole, part(4), rest;
  const auto a = train(setup.config("cuda", {"run.name=whole"}), whole);
  const auto b = train(setup.config("cuda", {"run.name=parts"}), part);
  CHECK(!b.finished);
  resume_training(b.run, rest);
  CHECK(same_checkpoint(a.run, b.run));
}

TEST_CASE("gpu: a run keeps its plans beside it; where they are damaged it says so and goes on") {
  YD_NEEDS_GPU();
  const Setup setup;
  Quiet part(4), rest;
  const auto outcome = train(setup.config("cuda", {"autotune=true"}), part);
  CHECK(!outcome.finished);
  const std::string plans = test::read_file(outcome.run / "plans.json");
  CHECK(plans.find("backward weight") != std::string::npos);
  CHECK(plans.find("\"timed\": true") != std::string::npos);
  test::write_file(outcome.run / "plans.json", plans.substr(0, plans.size() / 2));
  resume_training(outcome.run, rest);
  CHECK(rest.log.find("plans.json is damaged; plans are chosen anew") != std::string::npos);
  CHECK(test::read_file(outcome.run / "plans.json").find("backward weight") != std::string::npos);
  use_compute(kGpuFp32);  // ends the timing, which is the process's
}

TEST_CASE("gpu: a run whose samples are made on the GPU equals one with the CPU's bit for bit") {
  YD_NEEDS_GPU();
  const Setup setup;
  Quiet there, here;
  const auto a = train(setup.config("cuda", {"run.name=there", "augment.device=gpu"}), there);
  const auto b = train(setup.config("cuda", {"run.name=here"}), here);
  REQUIRE(there.results.size() == here.results.size());
  for (size_t i = 0; i < here.results.size(); ++i) {
    CHECK(there.results[i].train_box == here.results[i].train_box);
    CHECK(there.results[i].train_obj == here.results[i].train_obj);
    CHECK(there.results[i].train_cls == here.results[i].train_cls);
  }
  CHECK(same_checkpoint(a.run, b.run));
  for (int i = 0; i < 3; ++i) {
    const std::string name = fmt::format("train_batch{}.jpg", i);
    CHECK(test::read_file(a.run / name) == test::read_file(b.run / name));
  }
  CHECK(there.log.find("0 MiB of decoded pictures on cuda:0") != std::string::npos);  // 120 KiB
}

TEST_CASE(
    "gpu: with the whole recipe samples made there give the run with the CPU's, bit for bit") {
  YD_NEEDS_GPU();
  const Setup setup;
  for (const std::string kind : {"train.image_weights=true", "train.rect=true"}) {
    const auto run = [&](const std::string& device, TrainEvents& events) {
      return train(setup.config("cuda", {"run.name=" + kind.substr(6, 4) + device,
                                         "augment.device=" + device, kind, "train.multi_scale=0.5",
                                         "augment.mixup=0.5", "augment.mosaic9=0.5",
                                         "augment.perspective=0.0005", "augment.close_mosaic=1"}),
                   events)
          .run;
    };
    Quiet there, here;
    const auto a = run("gpu", there), b = run("cpu", here);
    REQUIRE(there.results.size() == here.results.size());
    CHECK(same_checkpoint(a, b));
  }
}

TEST_CASE("gpu: with samples made there a stopped and resumed run equals the whole one") {
  YD_NEEDS_GPU();
  const Setup setup;
  for (const int64_t stop_after : {1, 4}) {
    Quiet whole, part(stop_after), rest;
    const std::string number = std::to_string(stop_after);
    const auto a =
        train(setup.config("cuda", {"run.name=whole" + number, "augment.device=gpu"}), whole);
    const auto b =
        train(setup.config("cuda", {"run.name=parts" + number, "augment.device=gpu"}), part);
    CHECK(!b.finished);
    resume_training(b.run, rest);
    CHECK(same_checkpoint(a.run, b.run));
  }
}

TEST_CASE("gpu: a batch of plans without pictures on the GPU is refused") {
  YD_NEEDS_GPU();
  Training training(kGpuFp32);
  Batch batch = make_batch(2, 1);
  batch.plans.resize(2);
  CHECK_THROWS_WITH_TEXT(training.runner->accumulate(batch), ValueError, "a batch of plans");
}

}  // namespace
}  // namespace ydistill
