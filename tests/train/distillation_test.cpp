// SPDX-License-Identifier: MIT
// Whole runs with a teacher.
#include <ydistill/train/data_sources.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/opened_teacher.h>
#include <ydistill/train/trainer.h>

#include <filesystem>

#include <ydistill/data/letterbox.h>
#include <ydistill/yolo/calibrator.h>
#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/same_bits.h"
#include "train/tiny_run.h"

namespace ydistill {
namespace {

using Quiet = test::QuietEvents;

using Setup = test::TinyRun;

using test::check_same_bits;
using test::teacher_of;

TEST_CASE("train: a teacher is validated first and its weights never change") {
  const Setup setup;
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher"}), events);
  const auto weights = taught.run / "weights/best.safetensors";
  const std::string before = test::read_file(weights);
  for (const char* loss : {"l2", "kl", "bce"}) {
    Quiet distilling;
    const TrainOutcome outcome = train(
        setup.config({teacher_of(taught), std::string("distill.loss=") + loss, "train.epochs=2"}),
        distilling);
    CHECK(outcome.finished);
    CHECK(distilling.log.find("teacher: precision") != std::string::npos);
    CHECK(distilling.results.front().train_distill > 0);
  }
  CHECK(test::read_file(weights) == before);
}

/// A teacher of the tiny set, from a graph twice as wide as the student's: "teacher={..}".
std::string wide_teacher(const Setup& setup) {
  test::write_file(setup.dir / "wide.json", test::wide_tiny_graph());
  Quiet events;
  const TrainOutcome taught =
      train(setup.config({"model.graph=" + (setup.dir / "wide.json").string(), "run.name=teacher"}),
            events);
  return teacher_of(taught);
}

TEST_CASE("train: features learn from a wider teacher, and the weights kept are the network's") {
  const Setup setup;
  const std::string teacher = wide_teacher(setup);
  Quiet with, without;
  const std::vector<std::string> alone{
      "distill.box=0",         "distill.obj=0",         "distill.cls=0", "train.epochs=15",
      "train.nominal_batch=4", "train.optimizer=adamw", "train.lr0=0.01"};
  std::vector<std::string> overrides = alone;
  overrides.insert(overrides.end(), {teacher, "distill.feature=2"});
  const TrainOutcome outcome = train(setup.config(overrides), with);
  const auto first = with.results.front(), last = with.results.back();
  // Untaught channels correlate little: each of the two scales begins near its gain of 2.
  CHECK(first.distill_feature > 2);
  CHECK(first.distill_feature < 5);
  CHECK(last.distill_feature < 0.97 * first.distill_feature);
  CHECK(last.train_distill == last.distill_feature);
  train(setup.config({teacher, "train.epochs=1"}), without);
  CHECK(without.results.back().distill_feature == 0);
  const Checkpoint best =
      load_checkpoint(outcome.run / "weights/best.safetensors", PtWeights::kEma);
  for (const auto& [name, tensor] : best.tensors) {
    INFO(name);
    CHECK(name.starts_with("model."));
  }
  CHECK_NOTHROW(build_model(best));
}

TEST_CASE("train: features that no layer could learn from are said to have no effect") {
  const Setup setup;
  Quiet events, learning;
  const std::vector<std::string> overrides{wide_teacher(setup), "distill.feature=2",
                                           "train.epochs=1"};
  train(setup.config(overrides), learning);
  CHECK(learning.log.find("distill.feature") == std::string::npos);
  CHECK(learning.results.back().distill_feature > 0);
  std::vector<std::string> frozen = overrides;
  frozen.push_back("train.freeze=[\"model.0-8\"]");
  train(setup.config(frozen), events);
  CHECK(events.log.find("distill.feature: has no effect, all layers before the head are frozen") !=
        std::string::npos);
  CHECK(events.results.back().distill_feature == 0);
  CHECK(events.results.back().train_distill > 0);
}

TEST_CASE("train: with features stopped and resumed equals uninterrupted bit for bit") {
  const Setup setup;
  const std::string teacher = wide_teacher(setup);
  for (const std::string optimizer : {"sgd", "adamw"}) {
    INFO(optimizer);
    const auto config = [&](const std::string& name) {
      return setup.config({teacher, "distill.feature=2", "train.optimizer=" + optimizer,
                           "run.name=" + name + optimizer});
    };
    Quiet whole, second;
    const TrainOutcome reference = train(config("whole"), whole);
    Quiet first(4);  // between two steps of the optimizer, in the second epoch
    const TrainOutcome stopped = train(config("cut"), first);
    CHECK_FALSE(stopped.finished);
    const TrainOutcome outcome = resume_training(stopped.run, second);
    check_same_bits(reference.run / "weights/last.safetensors",
                    outcome.run / "weights/last.safetensors");
    CHECK(test::read_file(reference.run / "results.csv") ==
          test::read_file(outcome.run / "results.csv"));
  }
}

/// The same teacher, calibrated for 8 bits on its training pictures: "teacher={..}".
std::string calibrated_teacher(const Setup& setup, const TrainOutcome& taught) {
  Checkpoint checkpoint = load_checkpoint(taught.run / "weights/best.safetensors", PtWeights::kEma);
  const auto model = build_inference_model(checkpoint, {});
  Calibrator calibrator(*model);
  for (const auto& entry : std::filesystem::directory_iterator(setup.dir / "train/images")) {
    const Image image = read_image(entry.path());
    const Letterbox box = detection_letterbox(image.width, image.height, 64, 16);
    const Tensor input = Tensor::empty({1, box.height, box.width, 3}, DType::kUInt8);
    apply_letterbox(image, box, input.data<uint8_t>());
    calibrator.add(input);
  }
  checkpoint.calibration = calibrator.result();
  const auto weights = setup.dir / "int8.safetensors";
  save_checkpoint(weights, checkpoint);
  return "teacher={\"weights\":\"" + weights.string() + "\"}";
}

TEST_CASE("train: a teacher in 8 bits teaches what it teaches in float32, up to its rounding") {
  const Setup setup;
  Quiet first;
  const TrainOutcome taught = train(setup.config({"run.name=teacher"}), first);
  const std::string teacher = calibrated_teacher(setup, taught);
  Quiet in_float, in_bytes;
  train(setup.config({teacher, "run.name=float"}), in_float);
  train(setup.config({teacher, "teacher.precision=int8", "run.name=bytes"}), in_bytes);
  INFO(in_bytes.log);
  CHECK(in_bytes.log.find(" on cpu in int8") != std::string::npos);
  CHECK(in_float.log.find(" on cpu in int8") == std::string::npos);
  REQUIRE(in_bytes.results.size() == in_float.results.size());
  for (size_t i = 0; i < in_bytes.results.size(); ++i) {
    const double expected = in_float.results[i].train_distill;
    CHECK(in_bytes.results[i].train_distill == Approx(expected).epsilon(0.03));
    CHECK(in_bytes.results[i].train_distill != expected);
  }
}

TEST_CASE("train: with a teacher in 8 bits stopped and resumed equals uninterrupted") {
  const Setup setup;
  Quiet taught_events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher"}), taught_events);
  const std::string teacher = calibrated_teacher(setup, taught);
  const auto config = [&](const std::string& name) {
    return setup.config({teacher, "teacher.precision=int8", "run.name=" + name});
  };
  Quiet whole, first(4), second;
  const TrainOutcome reference = train(config("whole"), whole);
  const TrainOutcome stopped = train(config("cut"), first);
  const TrainOutcome outcome = resume_training(stopped.run, second);
  check_same_bits(reference.run / "weights/last.safetensors",
                  outcome.run / "weights/last.safetensors");
}

TEST_CASE("train: a teacher in 8 bits is refused where it cannot be, before the data is read") {
  const Setup setup;
  Quiet first;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), first);
  Quiet events;
  CHECK_THROWS_WITH_TEXT(
      train(setup.config({teacher_of(taught), "teacher.precision=int8"}), events), ConfigError,
      "needs calibrated weights, as `ydistill quantize` writes");
  CHECK_THROWS_WITH_TEXT(train(setup.config({calibrated_teacher(setup, taught),
                                             "teacher.precision=int8", "distill.feature=0.1"}),
                               events),
                         ConfigError, "\"int8\" has no features to learn from");
  CHECK(events.log.empty());
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs" / "exp"));

  const Config config = setup.config({calibrated_teacher(setup, taught), "teacher.precision=int8"});
  const Checkpoint teacher = load_checkpoint(config.teacher->weights, PtWeights::kEma);
  CHECK(teacher_compute(config, teacher, {}).precision == Precision::kInt8);
  CHECK_THROWS_WITH_TEXT(teacher_compute(config, teacher, Compute{Device::cuda(0)}), ConfigError,
                         "\"int8\" runs only on the CPU, but the student trains on cuda:0");
  std::vector<Tensor> features;
  Teacher in_bytes(teacher, teacher_compute(config, teacher, {}));
  CHECK_THROWS_WITH_TEXT(in_bytes.logits(Tensor::zeros({1, 64, 64, 3}, DType::kUInt8), &features),
                         ValueError, "in int8 it has no features");
}

TEST_CASE("train: a teacher that needs coarser pictures than the student is refused") {
  const Setup setup;
  std::string graph = test::tiny_graph();
  // One module more, of stride 32, that no head reads.
  const std::string head = R"("head": [[-1, 1, "nn.Upsample")";
  graph.replace(graph.find(head), head.size(),
                R"("head": [[-1, 1, "Conv", [8, 3, 4]], [5, 1, "nn.Upsample")");
  const std::string reads = "[[8, 5], 1, \"Detect\"";
  graph.replace(graph.find(reads), reads.size(), "[[9, 5], 1, \"Detect\"");
  const GraphSpec coarse = graph_from_json(graph), student = graph_from_json(test::tiny_graph());
  CHECK(coarse.max_stride() == 64);
  CHECK_THROWS_WITH_TEXT(check_teacher(student, coarse), ConfigError,
                         "sides are multiples of 64, the student's are of 32");
  CHECK_NOTHROW(check_teacher(coarse, student));
}

TEST_CASE("train: pictures that do not fit the network's stride are refused by the key's name") {
  const Setup setup;
  Quiet events;
  for (const std::string key : {"train.image_size", "val.image_size"}) {
    test::write_file(setup.dir / "coarse.json", [] {
      std::string graph = test::tiny_graph();
      const std::string conv = "[-1, 1, \"Conv\", [8, 6, 2, 2]]";
      return graph.replace(graph.find(conv), conv.size(), "[-1, 1, \"Conv\", [8, 8, 8]]");
    }());
    CHECK_THROWS_WITH_TEXT(
        train(setup.config({"model.graph=" + (setup.dir / "coarse.json").string(), key + "=96"}),
              events),
        ConfigError, key + ": must be a multiple of 64 for this network, got 96");
  }
}

TEST_CASE("train: resumed with unlabelled pictures equals uninterrupted bit for bit") {
  const Setup setup;
  test::write_tiny_set(setup.dir / "more", 7, 3);
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  const std::string more = "data.unlabeled.pictures=" + (setup.dir / "more/images").string();
  const std::string teacher = teacher_of(taught);
  const TrainOutcome reference = train(setup.config({teacher, more, "run.name=whole"}), events);
  Quiet first(8);  // in the second of three epochs of six batches
  const TrainOutcome stopped = train(setup.config({teacher, more, "run.name=cut"}), first);
  CHECK_FALSE(stopped.finished);
  const TrainOutcome outcome = resume_training(stopped.run, events);
  check_same_bits(reference.run / "weights/last.safetensors",
                  outcome.run / "weights/last.safetensors");
  CHECK(test::read_file(reference.run / "results.csv") ==
        test::read_file(outcome.run / "results.csv"));
}

TEST_CASE("train: on unlabelled pictures the teacher alone speaks, and their share is logged") {
  const Setup setup;
  test::write_tiny_set(setup.dir / "more", 7, 3);
  std::filesystem::remove_all(setup.dir / "more" / "labels");
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  const std::string more = "data.unlabeled.pictures=" + (setup.dir / "more/images").string();
  Quiet mixed;
  const auto config = setup.config({teacher_of(taught), more, "data.unlabeled.share=0.25"});
  REQUIRE(train(config, mixed).finished);
  CHECK(mixed.log.find("data.unlabeled: 7 pictures without labels") != std::string::npos);
  for (const EpochResult& r : mixed.results) {
    CHECK(r.unlabelled == Approx(0.25));  // batches of 3 + 1: 12 labelled pictures, 4 others
    CHECK(r.grad_ratio > 0);
    CHECK(r.distill_box + r.distill_obj + r.distill_cls == Approx(r.train_distill));
  }
  CHECK(mixed.steps == 3 * 4);
}

/// Overrides of a run without labels, but for those of validation.
std::vector<std::string> without_labels(const Setup& setup, const std::string& teacher,
                                        const std::string& name) {
  test::write_tiny_set(setup.dir / "more", 10, 3);
  std::filesystem::remove_all(setup.dir / "more" / "labels");
  return {teacher, "data.train=null",
          "data.unlabeled.pictures=" + (setup.dir / "more/images").string(), "run.name=" + name};
}

TEST_CASE("train: without any training labels the teacher alone speaks") {
  const Setup setup;
  Quiet first, events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), first);
  const auto overrides = without_labels(setup, teacher_of(taught), "student");
  const TrainOutcome outcome = train(setup.config(overrides), events);
  REQUIRE(outcome.finished);
  CHECK(events.log.find("data.train: not given; the student learns only from the teacher") !=
        std::string::npos);
  CHECK(events.log.find("data.unlabeled: 10 pictures without labels") != std::string::npos);
  for (const EpochResult& r : events.results) {
    CHECK(r.unlabelled == 1);
    CHECK(r.train_box + r.train_obj + r.train_cls == 0);
    CHECK(r.train_distill > 0);
  }
  CHECK(events.steps == 3 * 3);  // ten pictures by four
  CHECK(events.results.back().train_distill < events.results.front().train_distill);

  Quiet cut(5), second;
  const TrainOutcome stopped =
      train(setup.config(without_labels(setup, teacher_of(taught), "cut")), cut);
  CHECK_FALSE(stopped.finished);
  const TrainOutcome resumed = resume_training(stopped.run, second);
  check_same_bits(outcome.run / "weights/last.safetensors",
                  resumed.run / "weights/last.safetensors");
  CHECK(test::read_file(outcome.run / "results.csv") ==
        test::read_file(resumed.run / "results.csv"));
}

TEST_CASE("train: without labels a student from scratch has the teacher's anchors") {
  const Setup setup;
  std::string graph = test::tiny_graph();
  const std::string anchors = "[14,14, 14,32, 32,14]";
  graph.replace(graph.find(anchors), anchors.size(), "[12,12, 16,30, 30,16]");
  test::write_file(setup.dir / "other.json", graph);
  Quiet first, events, kept;
  const TrainOutcome taught =
      train(setup.config({"run.name=teacher", "train.epochs=1",
                          "model.graph=" + (setup.dir / "other.json").string()}),
            first);
  auto overrides = without_labels(setup, teacher_of(taught), "student");
  overrides.push_back("train.epochs=1");
  const auto anchors_of = [](const TrainOutcome& outcome) {
    return load_checkpoint(outcome.run / "weights/last.safetensors", PtWeights::kEma)
        .spec.anchors.wh_px[0][0];
  };
  CHECK(anchors_of(train(setup.config(overrides), events)) == std::array<double, 2>{12, 12});
  CHECK(events.log.find("anchors: the teacher's are taken") != std::string::npos);
  overrides.push_back("train.autoanchor=off");
  CHECK(anchors_of(train(setup.config(overrides), kept)) == std::array<double, 2>{14, 14});
}

TEST_CASE("train: a run from before distill.mean goes on as it began") {
  const Setup setup;
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  const auto config = [&](const std::string& name) {
    return setup.config({teacher_of(taught), "distill.mean=boxes", "run.name=" + name});
  };
  Quiet whole, first(4), second;
  const TrainOutcome reference = train(config("whole"), whole);
  const TrainOutcome stopped = train(config("cut"), first);
  const auto last = stopped.run / "weights/last.safetensors";
  TensorFile file = read_safetensors(last);
  std::string& kept = file.metadata.at("config");
  const size_t at = kept.find("\"mean\"");
  REQUIRE(at != std::string::npos);
  kept.erase(at, kept.find('"', kept.find("boxes", at) + 6) - at);
  write_safetensors(last, file);
  test::write_file(stopped.run / "config.json", kept);
  CHECK(resume_training(stopped.run, second).finished);
  check_same_bits(reference.run / "weights/last.safetensors", last);
  CHECK(second.log.find("differs from the config in the checkpoint") == std::string::npos);
}

TEST_CASE("train: a teacher that lacks a class is refused where nobody else would teach it") {
  const Setup setup;
  Quiet first, events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), first);
  auto overrides = without_labels(setup, teacher_of(taught), "student");
  overrides.insert(overrides.end(),
                   {"data.names=[\"flat\",\"high\"]", "teacher.classes=[\"\",\"high\"]"});
  CHECK_THROWS_WITH_TEXT(train(setup.config(overrides), events), ConfigError,
                         "the teacher does not know flat, and without data.train nothing would");
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher_of(taught), "data.names=[\"flat\",\"high\"]",
                                             "teacher.classes=[\"\",\"high\"]", "distill.loss=kl"}),
                               events),
                         ConfigError, "kl compares classes with each other");
  CHECK(events.log.empty());  // before any data is read
  const auto one = setup.dir / "one.safetensors";
  save_checkpoint(
      one, select_classes(load_checkpoint(taught.run / "weights/best.safetensors", PtWeights::kEma),
                          {1}, {"high"}));
  const std::vector<std::string> of_one{"teacher={\"weights\":\"" + one.string() + "\"}",
                                        "teacher.classes=[\"\",\"high\"]"};
  CHECK_THROWS_WITH_TEXT(train(setup.config(of_one), events), ConfigError,
                         "a teacher with a single class never trained its own");
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs" / "exp"));
}

TEST_CASE("train: a single class may be taught by one of a teacher's") {
  const Setup setup;
  Quiet first, events, free;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=2"}), first);
  const std::vector<std::string> single{teacher_of(taught), "train.single_class=true",
                                        "teacher.classes=[\"high\"]", "train.epochs=1"};
  CHECK(train(setup.config(single), events).finished);
  CHECK(events.log.find("1 of its 2 classes are the student's: object (high)") !=
        std::string::npos);
  auto overrides = without_labels(setup, teacher_of(taught), "free");
  overrides.insert(overrides.end(), single.begin() + 1, single.end());
  CHECK(train(setup.config(overrides), free).finished);
  CHECK(free.results.back().distill_obj > 0);
}

TEST_CASE("train: a teacher in 8 bits may have other classes too") {
  const Setup setup;
  Quiet first;
  const TrainOutcome taught = train(setup.config({"run.name=teacher"}), first);
  const std::string teacher = calibrated_teacher(setup, taught);
  const auto config = [&](const std::string& precision) {
    return setup.config({teacher, "teacher.precision=" + precision, "run.name=" + precision,
                         "data.names=[\"flat\",\"tall\"]", "teacher.classes=[\"\",\"high\"]"});
  };
  Quiet in_float, in_bytes;
  train(config("same"), in_float);
  train(config("int8"), in_bytes);
  for (size_t i = 0; i < in_bytes.results.size(); ++i) {
    CHECK(in_bytes.results[i].train_distill ==
          Approx(in_float.results[i].train_distill).epsilon(0.05));
  }
}

TEST_CASE("train: what needs labels is refused where there are none") {
  const Setup setup;
  const auto refused = [&](std::vector<std::string> more, const std::string& text) {
    auto overrides = without_labels(setup, "teacher={\"weights\":\"t.pt\"}", "x");
    overrides.insert(overrides.end(), more.begin(), more.end());
    CHECK_THROWS_WITH_TEXT(setup.config(overrides), ConfigError, text);
  };
  refused({"train.image_weights=true"},
          "train.image_weights: counts labels, and without data.train there are none");
  refused({"train.autoanchor=always"}, "train.autoanchor: fits anchors to labels, and without");
  refused({"distill.gain=0"}, "there is only the distillation loss, and its gains are 0");
  refused({"distill.box=0", "distill.obj=0", "distill.cls=0"}, "and its gains are 0");
  refused({"data.val=null"}, "labelled ones are needed to validate on");
  refused({"teacher=null"}, "only a teacher can teach from pictures without labels");
  auto alone = without_labels(setup, "teacher={\"weights\":\"t.pt\"}", "x");
  alone.insert(alone.end(), {"train.batch=1", "train.rect=true"});
  CHECK_NOTHROW(setup.config(alone));
}

TEST_CASE("train: unlabelled pictures are refused where nobody could teach from them") {
  const Setup setup;
  const std::string more = "data.unlabeled.pictures=" + (setup.dir / "train/images").string();
  CHECK_THROWS_WITH_TEXT(setup.config({more}), ConfigError,
                         "data.unlabeled: only a teacher can teach from pictures without labels");
  CHECK_THROWS_WITH_TEXT(setup.config({more, "teacher={\"weights\":\"t.pt\"}", "train.batch=1"}),
                         ConfigError, "give train.batch of at least 2, it is 1");
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher_of(taught), more}), events), ConfigError,
                         "every picture is among the training pictures already");
}

/// The tiny set with its high rectangles alone, called "tall".
std::string only_high(const Setup& setup) {
  std::string overrides;
  for (const std::string part : {"train", "val"}) {
    for (const auto& entry : std::filesystem::directory_iterator(setup.dir / part / "labels")) {
      std::string label = test::read_file(entry.path());
      if (label[0] == '1') {
        label[0] = '0';
      } else {
        label.clear();
      }
      test::write_file(entry.path(), label);
    }
  }
  return "data.names=[\"tall\"]";
}

TEST_CASE("train: a teacher teaches those of its classes that the student has") {
  const Setup setup;
  Quiet first;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=6"}), first);
  const Checkpoint of_both =
      load_checkpoint(taught.run / "weights/best.safetensors", PtWeights::kEma);
  const auto measured = [](const Config& config, const Checkpoint& checkpoint) {
    const auto data =
        std::make_shared<const Dataset>(load_source(val_source(config), reading_of(config)));
    EvaluateOptions options;
    options.val = config.val;
    return evaluate(*build_inference_model(checkpoint, {}), data, options).metrics;
  };
  const MetricsResult before = measured(setup.config(), of_both);
  const std::string teacher = teacher_of(taught), names = only_high(setup);
  Quiet events;
  const Config config =
      setup.config({teacher, names, "teacher.classes=[\"high\"]", "run.name=student"});
  const TrainOutcome outcome = train(config, events);
  CHECK(outcome.finished);
  CHECK(events.log.find("teacher: 1 of its 2 classes are the student's: tall (high)") !=
        std::string::npos);
  CHECK(events.results.back().distill_obj > 0);
  CHECK(events.results.back().distill_cls == 0);  // one class
  const Checkpoint best =
      load_checkpoint(outcome.run / "weights/best.safetensors", PtWeights::kEma);
  CHECK(best.class_names == std::vector<std::string>{"tall"});
  // What it finds of its class is what it found before, and so the printed figure is that class's.
  const MetricsResult after = measured(config, select_classes(of_both, {1}, {"tall"}));
  CHECK(after.map50 > 0);
  CHECK(after.map50 == Approx(before.per_class[1].map50).margin(1e-3));
  CHECK(events.log.find(fmt::format("mAP50 {:.4f}, mAP50-95 {:.4f} on", after.map50, after.map)) !=
        std::string::npos);

  Quiet cut(4), second;
  const Config again = setup.config({teacher, names, "teacher.classes=[\"high\"]", "run.name=cut"});
  const TrainOutcome stopped = train(again, cut);
  CHECK_FALSE(stopped.finished);
  const TrainOutcome resumed = resume_training(stopped.run, second);
  check_same_bits(outcome.run / "weights/last.safetensors",
                  resumed.run / "weights/last.safetensors");
}

TEST_CASE("train: several of a teacher's classes teach the student's one") {
  const Setup setup;
  Quiet first, events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=6"}), first);
  const Checkpoint of_both =
      load_checkpoint(taught.run / "weights/best.safetensors", PtWeights::kEma);
  const auto weights = setup.dir / "three.safetensors";
  save_checkpoint(weights, select_classes(of_both, {1, kNoClass, 0}, {"high", "dot", "wide"}));
  const auto config = [&](const std::string& name) {
    return setup.config({"teacher={\"weights\":\"" + weights.string() + "\"}",
                         "model.weights=" + weights.string(), "run.name=" + name,
                         "data.names=[\"wide\",\"high\",\"dot\"]",
                         R"(data.merge={"long":["wide","high"]})"});
  };
  const TrainOutcome outcome = train(config("student"), events);
  INFO(events.log);
  CHECK(events.log.find("teacher: 3 of its 3 classes are the student's: long (high, wide), dot") !=
        std::string::npos);
  CHECK(events.log.find("the head keeps 2: long (high), dot") != std::string::npos);
  CHECK(events.results.back().distill_cls > 0);
  const auto best = outcome.run / "weights/best.safetensors";
  CHECK(load_checkpoint(best, PtWeights::kEma).class_names ==
        std::vector<std::string>{"long", "dot"});

  // Its mAP is that of what it finds as either of the two.
  const auto data = std::make_shared<const Dataset>(
      load_source(val_source(config("x")), reading_of(config("x"))));
  CHECK(data->names == std::vector<std::string>{"long", "dot"});
  EvaluateOptions options;
  options.val = config("x").val;
  options.found_as = {0, 0};
  const MetricsResult m = evaluate(*build_inference_model(of_both, {}), data, options).metrics;
  CHECK(m.map50 > 0);
  CHECK(events.log.find(fmt::format("mAP50 {:.4f}, mAP50-95 {:.4f} on", m.map50, m.map)) !=
        std::string::npos);

  Quiet cut(4), second;
  const TrainOutcome stopped = train(config("cut"), cut);
  CHECK(resume_training(stopped.run, second).finished);
  check_same_bits(outcome.run / "weights/last.safetensors",
                  stopped.run / "weights/last.safetensors");
}

TEST_CASE("train: the order of a teacher's classes makes no difference") {
  const Setup setup;
  Quiet first, plain, turned;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=2"}), first);
  Checkpoint checkpoint = load_checkpoint(taught.run / "weights/best.safetensors", PtWeights::kEma);
  const auto weights = setup.dir / "turned.safetensors";
  save_checkpoint(weights, select_classes(checkpoint, {1, 0}, {"high", "wide"}));
  const TrainOutcome as_is = train(setup.config({teacher_of(taught), "run.name=plain"}), plain);
  const TrainOutcome other =
      train(setup.config({"teacher={\"weights\":\"" + weights.string() + "\"}", "run.name=turned"}),
            turned);
  CHECK(turned.log.find("teacher: 2 of its 2 classes are the student's: wide, high") !=
        std::string::npos);
  CHECK(turned.results.back().train_distill == Approx(plain.results.back().train_distill));
}

TEST_CASE("train: a teacher that lacks a class says nothing of it") {
  const Setup setup;
  Quiet first, events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=2"}), first);
  const Config config = setup.config(
      {teacher_of(taught), "data.names=[\"flat\",\"high\"]", "teacher.classes=[\"\",\"high\"]"});
  CHECK(train(config, events).finished);
  CHECK(events.log.find("1 of its 2 classes are the student's: high; it does not know flat") !=
        std::string::npos);
  CHECK(events.results.back().train_distill > 0);
}

TEST_CASE("train: a teacher of other classes is refused by name before a run folder is made") {
  const Setup setup;
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  const std::string teacher = teacher_of(taught);
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher, "data.names=[\"wide\",\"tall\"]"}), events),
                         ConfigError,
                         "it knows no class \"tall\", \"wide\" is the nearest of wide, high");
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs" / "exp"));
}

TEST_CASE("train: a teacher of other classes is refused before the data is read, where known") {
  const Setup setup;
  Quiet first;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), first);
  const std::string teacher = teacher_of(taught);
  test::write_file(setup.dir / "set.yaml",
                   "train: train/images\nval: val/images\nnames: [wide, tall]\n");
  const std::string yaml_source =
      "data.train={\"yaml\":\"" + (setup.dir / "set.yaml").string() + "\",\"split\":\"train\"}";
  Quiet named, yaml, single, numbered;
  const std::string names_first =
      "it knows no class \"tall\", \"wide\" is the nearest of wide, high";
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher, "data.names=[\"wide\",\"tall\"]"}), named),
                         ConfigError, names_first);
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher, yaml_source, "data.names=[]"}), yaml),
                         ConfigError, names_first);
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher, "train.single_class=true"}), single),
                         ConfigError,
                         "it knows no class \"object\", \"wide\" is the nearest of wide, high");
  for (const Quiet& events : {named, yaml, single}) CHECK(events.log.empty());
  // The labels alone say that there are two classes and so what they are called.
  CHECK_THROWS_WITH_TEXT(train(setup.config({teacher, "data.names=[]"}), numbered), ConfigError,
                         "the data has no name for class 0, called \"class0\" here");
  CHECK(numbered.log.find("data.train: 12 pictures") != std::string::npos);
}

}  // namespace
}  // namespace ydistill
