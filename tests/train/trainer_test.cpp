// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cpu_level.h>
#include <ydistill/train/trainer.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include <ydistill/tensor/io/safetensors.h>
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
using test::StopAt;
using test::teacher_of;

TEST_CASE("train: autotune on the CPU is said to have no effect") {
  const Setup setup;
  Quiet tuned, plain;
  train(setup.config({"train.epochs=1", "autotune=true"}), tuned);
  train(setup.config({"train.epochs=1"}), plain);
  CHECK(tuned.log.find("autotune: has no effect on the CPU") != std::string::npos);
  CHECK(plain.log.find("autotune") == std::string::npos);
}

TEST_CASE("train: a run leaves its folder complete and the loss falls") {
  const Setup setup;
  Quiet events;
  const TrainOutcome outcome = train(setup.config({"train.epochs=30"}), events);
  CHECK(outcome.finished);
  CHECK(outcome.run == setup.dir / "runs" / "exp");
  for (const char* name :
       {"config.json", "results.csv", "train_batch0.jpg", "val_batch0_labels.jpg",
        "val_batch0_pred.jpg", "weights/last.safetensors", "weights/best.safetensors"}) {
    INFO(name);
    CHECK(std::filesystem::file_size(outcome.run / name) > 0);
  }
  REQUIRE(events.results.size() == 30);
  CHECK(events.results.back().train_obj < events.results.front().train_obj);
  CHECK(events.results.back().train_box < events.results.front().train_box);
  const std::string csv = test::read_file(outcome.run / "results.csv");
  CHECK(std::count(csv.begin(), csv.end(), '\n') == 31);
  // Both checkpoints can be used like any other.
  for (const auto& weights :
       {outcome.run / "weights/best.safetensors", outcome.run / "weights/last.safetensors"}) {
    const Checkpoint checkpoint = load_checkpoint(weights, PtWeights::kEma);
    CHECK(checkpoint.class_names == std::vector<std::string>{"wide", "high"});
    CHECK_NOTHROW(build_model(checkpoint));
  }
  CHECK(train(setup.config({"train.epochs=1"}), events).run == setup.dir / "runs" / "exp2");
}

TEST_CASE("train: a picture that the training or its validation cannot read is told once") {
  const Setup setup;
  for (const char* name : {"train/images/p003.png", "val/images/p001.png"}) {
    std::string png = test::read_file(setup.dir / name);
    for (size_t i = 60; i < 100; ++i) png[i] = '\0';  // its size can be read, its pixels cannot
    test::write_file(setup.dir / name, png);
  }
  Quiet events;
  CHECK(train(setup.config({"train.epochs=2"}), events).finished);
  for (const char* name : {"train/images/p003.png", "val/images/p001.png"}) {
    INFO(events.log);
    const std::string key = name[0] == 't' ? "data.train: " : "data.val: ";
    const size_t at = events.log.find(key + (setup.dir / name).string());
    REQUIRE(at != std::string::npos);
    CHECK(events.log.find((setup.dir / name).string(), at + key.size() + 1) == std::string::npos);
  }
}

TEST_CASE("train: with a single class the network knows one, called object") {
  const Setup setup;
  Quiet events;
  const TrainOutcome outcome =
      train(setup.config({"train.single_class=true", "train.epochs=2"}), events);
  CHECK(outcome.finished);
  CHECK(events.log.find("2 classes become one, \"object\"") != std::string::npos);
  const Checkpoint checkpoint =
      load_checkpoint(outcome.run / "weights/last.safetensors", PtWeights::kEma);
  CHECK(checkpoint.spec.num_classes == 1);
  CHECK(checkpoint.class_names == std::vector<std::string>{"object"});
  CHECK(outcome.last.metrics.per_class.size() == 1);
  CHECK(outcome.last.metrics.instances == 6);
}

TEST_CASE("train: what hangs on mosaics is said to have no effect without them") {
  const Setup setup;
  Quiet events;
  train(setup.config({"train.epochs=1", "augment.mixup=0.5", "augment.mosaic=0"}), events);
  CHECK(events.log.find("mixup, copy_paste and mosaic9 have no effect") != std::string::npos);
}

TEST_CASE("train: the same seed gives the same weights and another seed others") {
  const Setup setup;
  Quiet events;
  const auto run = [&](const char* name, int seed) {
    return train(setup.config({"train.epochs=1", fmt::format("run.name={}", name),
                               fmt::format("train.seed={}", seed), "train.workers=0"}),
                 events)
               .run /
           "weights/best.safetensors";
  };
  const auto a = run("a", 1), b = run("b", 1), c = run("c", 2);
  check_same_bits(a, b);
  const TensorFile x = read_safetensors(a), z = read_safetensors(c);
  CHECK(std::memcmp(x.tensors[0].second.raw(), z.tensors[0].second.raw(), 64) != 0);
}

TEST_CASE("train: frozen layers have the bits they began with, the others not") {
  const Setup setup;
  Quiet events;
  const auto weights_of = [](const TrainOutcome& outcome) {
    return load_checkpoint(outcome.run / "weights/last.safetensors", PtWeights::kEma);
  };
  const Checkpoint before =
      weights_of(train(setup.config({"train.epochs=1", "run.name=a"}), events));
  const Checkpoint after = weights_of(
      train(setup.config({"model={\"weights\":\"" +
                              (setup.dir / "runs/a/weights/last.safetensors").string() + "\"}",
                          "train.freeze=[\"model.0-2\"]", "run.name=b"}),
            events));
  int kept = 0, changed = 0;
  for (const auto& [name, tensor] : after.tensors) {
    if (!name.ends_with("conv.weight")) continue;
    const auto same = std::find_if(before.tensors.begin(), before.tensors.end(),
                                   [&](const auto& other) { return other.first == name; });
    REQUIRE(same != before.tensors.end());
    const bool equal = std::memcmp(tensor.raw(), same->second.raw(), size_t(tensor.nbytes())) == 0;
    const bool frozen = name.starts_with("model.0.") || name.starts_with("model.1.") ||
                        name.starts_with("model.2.");
    CHECK(equal == frozen);
    ++(frozen ? kept : changed);
  }
  CHECK(kept > 3);
  CHECK(changed > 3);
  CHECK_THROWS_WITH_TEXT(train(setup.config({"train.freeze=[\"model.77\"]"}), events), ConfigError,
                         "train.freeze: model.77: no layer of the network");
}

TEST_CASE("train: a run without improvement ends after its patience and is finished") {
  const Setup setup;
  Quiet events;
  // A rate so small that nothing ever changes.
  const TrainOutcome outcome =
      train(setup.config({"train.epochs=50", "train.patience=3", "train.lr0=1e-12",
                          "train.warmup_bias_lr=0", "train.ema_decay=0"}),
            events);
  CHECK(outcome.finished);
  CHECK(events.log.find("(train.patience)") != std::string::npos);
  const size_t best = size_t(std::max_element(events.results.begin(), events.results.end(),
                                              [](const EpochResult& a, const EpochResult& b) {
                                                return a.fitness() < b.fitness();
                                              }) -
                             events.results.begin());
  CHECK(events.results.size() < 50);
  CHECK(events.results.size() >= best + 4);
  Quiet again;
  CHECK(resume_training(outcome.run, again).finished);
  CHECK(again.steps == 0);
}

TEST_CASE("train: anchors that miss the labels are fitted to them, or the teacher's are taken") {
  const Setup setup;
  std::string far = test::tiny_graph();
  const std::string own = "[[14,14, 14,32, 32,14], [32,32, 40,20, 20,40]]";
  far.replace(far.find(own), own.size(), "[[2,2, 2,3, 3,2], [300,300, 400,200, 200,400]]");
  test::write_file(setup.dir / "far.json", far);
  const std::string graph = "model={\"graph\":\"" + (setup.dir / "far.json").string() + "\"}";
  Quiet fits, fitted, kept, taught;
  train(setup.config({"train.epochs=1"}), fits);
  CHECK(fits.log.find("anchors: best possible recall 1.0000\n") != std::string::npos);
  const TrainOutcome outcome = train(setup.config({graph, "train.epochs=1"}), fitted);
  CHECK(fitted.log.find("fitted anchors reach 1.0000 and are used") != std::string::npos);
  const Checkpoint best =
      load_checkpoint(outcome.run / "weights/best.safetensors", PtWeights::kEma);
  CHECK(best.spec.anchors.wh_px[0][0][0] > 10);
  train(setup.config({graph, "train.epochs=1", "train.autoanchor=off"}), kept);
  CHECK(kept.log.find("anchors:") == std::string::npos);
  const auto first_anchor = [](const TrainOutcome& run) {
    return load_checkpoint(run.run / "weights/best.safetensors", PtWeights::kEma)
        .spec.anchors.wh_px[0][0];
  };
  // A teacher with anchors that match.
  const TrainOutcome student =
      train(setup.config({graph, teacher_of(outcome), "train.epochs=1"}), taught);
  CHECK(taught.log.find("the teacher's reach 1.0000 and are used") != std::string::npos);
  CHECK(first_anchor(student) == first_anchor(outcome));
  // One with the same anchors, and one whose anchors are others and no better.
  Quiet same, worse;
  const TrainOutcome unfitted = train(
      setup.config({graph, "train.epochs=1", "train.autoanchor=off", "run.name=unfitted"}), same);
  const TrainOutcome beside_same =
      train(setup.config({graph, teacher_of(unfitted), "train.epochs=1"}), same);
  CHECK(same.log.find("they are the teacher's and are kept") != std::string::npos);
  CHECK(first_anchor(beside_same) == first_anchor(unfitted));
  std::string further = far;
  further.replace(further.find("[[2,2"), 5, "[[1,2");
  test::write_file(setup.dir / "further.json", further);
  train(setup.config({"model={\"graph\":\"" + (setup.dir / "further.json").string() + "\"}",
                      teacher_of(unfitted), "train.epochs=1"}),
        worse);
  CHECK(worse.log.find("fitted anchors reach 1.0000 and are used") != std::string::npos);
}

TEST_CASE("train: anchors that a graph only counts are fitted, with a teacher too") {
  const Setup setup;
  std::string graph = test::tiny_graph();
  const std::string own = "[[14,14, 14,32, 32,14], [32,32, 40,20, 20,40]]";
  test::write_file(setup.dir / "counted.json", graph.replace(graph.find(own), own.size(), "3"));
  const std::string counted = "model={\"graph\":\"" + (setup.dir / "counted.json").string() + "\"}";
  Quiet alone, taught, off;
  const TrainOutcome outcome = train(setup.config({counted, "train.epochs=1"}), alone);
  CHECK(alone.log.find("fitted anchors reach 1.0000 and are used") != std::string::npos);
  train(setup.config({counted, teacher_of(outcome), "train.epochs=1"}), taught);
  CHECK(taught.log.find("fitted anchors reach 1.0000 and are used") != std::string::npos);
  const TrainOutcome kept =
      train(setup.config({counted, "train.epochs=1", "train.autoanchor=off"}), off);
  const auto first_anchor = [](const TrainOutcome& run) {
    return load_checkpoint(run.run / "weights/best.safetensors", PtWeights::kEma)
        .spec.anchors.wh_px[0][0];
  };
  CHECK(first_anchor(kept) == std::array<double, 2>{12, 12});
  CHECK(off.log.find("has only their number; square placeholders are used") != std::string::npos);
  CHECK_FALSE(first_anchor(outcome) == std::array<double, 2>{12, 12});
  // Weights that were trained with them keep them.
  Quiet tuned;
  const std::string weights = (kept.run / "weights/best.safetensors").string();
  Config config = setup.config({"model.weights=" + weights, "train.epochs=1"});
  config.model.graph.clear();
  const TrainOutcome on = train(config, tuned);
  CHECK(tuned.log.find("anchors: best possible recall 1.0000\n") != std::string::npos);
  CHECK(first_anchor(on) == std::array<double, 2>{12, 12});
}

TEST_CASE("train: a teacher whose gains are all 0 is said to have no effect") {
  const Setup setup;
  Quiet first, silent, loud;
  const TrainOutcome teacher = train(setup.config({"train.epochs=1"}), first);
  const std::string line = "distill: every gain is 0, the teacher has no effect";
  train(setup.config({teacher_of(teacher), "train.epochs=1", "distill.gain=0"}), silent);
  CHECK(silent.log.find(line) != std::string::npos);
  train(setup.config({teacher_of(teacher), "train.epochs=1", "distill.cls=0"}), loud);
  CHECK(loud.log.find(line) == std::string::npos);
}

TEST_CASE("train: of equal epochs the last one is the best") {
  const Setup setup;
  Quiet events;
  const TrainOutcome outcome = train(setup.config({"val.conf=0.99"}), events);
  for (const EpochResult& result : events.results) REQUIRE(result.fitness() == 0);
  const auto tensors = [&](const char* name) {
    return load_checkpoint(outcome.run / "weights" / name, PtWeights::kEma).tensors;
  };
  const NamedTensors best = tensors("best.safetensors"), last = tensors("last.safetensors");
  for (size_t i = 0; i < best.size(); ++i) {  // followed in `last` by the state of the training
    REQUIRE(best[i].first == last[i].first);
    CHECK(std::memcmp(best[i].second.raw(), last[i].second.raw(),
                      size_t(best[i].second.nbytes())) == 0);
  }
}

TEST_CASE("train: a batch of one picture whose coarsest map is one cell is refused at once") {
  const Setup setup;
  Quiet events;
  // 12 pictures in batches of 11: the last has one. At 32 pixels the coarsest map of the tiny
  // network still has four cells, that of yolov5n one.
  const std::string small = "train.multi_scale=0.5";
  train(setup.config({"train.batch=11", "train.epochs=1", small}), events);
  const std::string graph = R"(model={"graph": "yolov5n"})";
  CHECK_THROWS_WITH_TEXT(train(setup.config({"train.batch=11", graph, small}), events), ConfigError,
                         "train.batch: an epoch's last batch has a single picture, and at 32 "
                         "pixels (train.multi_scale)");
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs/exp2"));
}

TEST_CASE("train: memory is asked for the pictures that there are, not for those of train.batch") {
  const Setup setup;
  Quiet events;
  train(setup.config({"train.batch=4096", "train.epochs=1", "train.memory_mib=100"}), events);
  CHECK(events.results.size() == 1);
}

TEST_CASE("train: weights that cannot be read and a set that is missing are told before the rest") {
  const Setup setup;
  test::write_file(setup.dir / "text.pt", "no weights");
  Quiet events;
  const std::string weights = "model.weights=" + (setup.dir / "text.pt").string();
  CHECK_THROWS_WITH_TEXT(train(setup.config({weights}), events), FileError,
                         "text.pt: is a text file, not a checkpoint");
  CHECK_THROWS_WITH_TEXT(train(setup.config({"data.val=null"}), events), ConfigError,
                         "data.val: missing; validation needs pictures");
  CHECK(events.log.empty());
}

TEST_CASE("train: a network that diverges in the last batch is told as that, with what to change") {
  const Setup setup;
  Quiet events;
  CHECK_THROWS_WITH_TEXT(
      train(setup.config({"train.lr0=1e30", "train.batch=12", "train.warmup_epochs=0",
                          "train.warmup_min_iterations=0"}),
            events),
      NotFiniteError,
      "epoch 1: its validation: nms: picture 0, box 0: NaN or infinity in the "
      "network's output; lower train.lr0");
  CHECK(events.steps == 1);
}

TEST_CASE("train: a data.yaml beside sources of its own is said to have no effect") {
  const Setup setup;
  test::write_file(setup.dir / "set.yaml", "train: train/images\nnames: [wide, high]\n");
  Quiet events, plain;
  const std::string yaml = "data.yaml=" + (setup.dir / "set.yaml").string();
  train(setup.config({"train.epochs=1", yaml}), events);
  train(setup.config({"train.epochs=1"}), plain);
  CHECK(
      events.log.find("data.yaml: has no effect where data.train and data.val are both given\n") !=
      std::string::npos);
  CHECK(plain.log.find("no effect") == std::string::npos);
}

TEST_CASE("train: stopped while its data is read it leaves nothing and says so") {
  const Setup setup;
  // After the training pictures, before those of validation; and after the weights.
  for (const char* last : {"data.train: 12 pictures", "model: "}) {
    INFO(last);
    StopAt events(last);
    const TrainOutcome outcome = train(setup.config(), events);
    CHECK_FALSE(outcome.finished);
    CHECK(outcome.run.empty());
    CHECK(events.steps == 0);
    CHECK(events.log.find("data.val: 6 pictures") ==
          (last[0] == 'd' ? std::string::npos : events.log.find("data.val: 6 pictures")));
    CHECK(
        events.log.ends_with("run: stopped before the first batch; there is no run folder yet\n"));
    CHECK_FALSE(std::filesystem::exists(setup.dir / "runs"));
  }
}

TEST_CASE("train: samples cannot be made on a GPU where the run is on the CPU") {
  const Setup setup;
  Quiet events;
  CHECK_THROWS_WITH_TEXT(train(setup.config({"augment.device=gpu", "device=cpu"}), events),
                         ConfigError, "augment.device: gpu, but the run is on cpu");
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs" / "exp"));
}

TEST_CASE("train: a head for other classes is replaced and that is said") {
  const Setup setup;
  Quiet events;
  const TrainOutcome taught = train(setup.config({"run.name=teacher", "train.epochs=1"}), events);
  Quiet second;
  const std::string weights =
      "model={\"weights\":\"" + (taught.run / "weights/best.safetensors").string() + "\"}";
  const auto config = [&](const std::string& names, const std::string& more) {
    return setup.config({weights, "data.names=" + names, "train.epochs=1", more});
  };
  train(config("[\"flat\",\"tall\",\"round\"]", "run.name=other"), second);
  CHECK(second.log.find("the head for 2 classes is replaced by one for 3") != std::string::npos);
  Quiet third, fourth;
  const std::string known = "[\"wide\",\"high\",\"round\"]";
  train(config(known, "model.keep_classes=false"), third);
  CHECK(third.log.find("the head for 2 classes is replaced by one for 3") != std::string::npos);
  train(config(known, "model.keep_classes=true"), fourth);
  CHECK(fourth.log.find("model: of the 2 classes of its weights the head keeps 2: wide, high; new "
                        "are round") != std::string::npos);
}

/// Where a step's memory lies depends on the kernels that the CPU has, so tests read the number.
int64_t fitting_batch(const std::string& message, const char* before) {
  INFO(message);
  const size_t at = message.rfind(before);
  REQUIRE(at != std::string::npos);
  return std::stoll(message.substr(at + std::strlen(before)));
}

TEST_CASE("train: a batch that does not fit says which would") {
  const Setup setup;
  Quiet events;
  std::string message;
  try {
    train(setup.config({"train.batch=32", "train.memory_mib=4"}), events);
  } catch (const OutOfMemoryError& error) {
    message = error.what();
  }
  CHECK(message.find("train.batch 32 at train.image_size 64 does not fit into memory") == 0);
  const int64_t fits = fitting_batch(message, "about ");
  CHECK(fits >= 2);
  CHECK(fits < 32);
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs"));  // known before anything is done
}

TEST_CASE("train: validation that would not fit is refused before training, with what would") {
  const Setup setup;
  Quiet events;
  const auto config = [&](int64_t val_batch) {
    return setup.config({"train.epochs=1", "train.batch=1", "train.memory_mib=2",
                         "val.image_size=160", fmt::format("val.batch={}", val_batch)});
  };
  std::string message;
  try {
    train(config(20), events);
  } catch (const OutOfMemoryError& error) {
    message = error.what();
  }
  INFO(message);
  CHECK(message.find("val.batch 20 at val.image_size 160 does not fit into memory (a batch of "
                     "validation takes ") == 0);
  CHECK(events.steps == 0);
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs"));
  const int64_t fits = fitting_batch(message, "; ");
  REQUIRE(fits >= 1);
  REQUIRE(fits < 20);
  CHECK_THROWS_AS(train(config(fits + 1), events), OutOfMemoryError);
  CHECK(train(config(fits), events).finished);
}

TEST_CASE("train: a teacher whose validation would not fit is refused unless it is not validated") {
  const Setup setup;
  Quiet events;
  // The same network with four times the channels.
  const std::string graph = test::tiny_graph();
  const size_t at = graph.find("\"width_multiple\": 1");
  REQUIRE(at != std::string::npos);
  Model wide(graph_from_json(std::string(graph).replace(at, 19, "\"width_multiple\": 4")));
  wide.initialise(1);
  save_checkpoint(setup.dir / "wide.safetensors",
                  {wide.spec(), {"wide", "high"}, export_weights(wide), {}, ""});
  const auto config = [&](const char* validate) {
    return setup.config({"train.epochs=1", "train.batch=1", "train.memory_mib=3", "val.batch=6",
                         "val.image_size=128",
                         fmt::format(R"(teacher={{"weights": "{}", "validate": {}}})",
                                     (setup.dir / "wide.safetensors").string(), validate)});
  };
  CHECK_THROWS_WITH_TEXT(train(config("true"), events), OutOfMemoryError,
                         "val.batch 6 at val.image_size 128 does not fit into memory");
  CHECK(train(config("false"), events).finished);
}

TEST_CASE("train: a path that is no UTF-8 is refused before anything is read or written") {
  const Setup setup;
  Quiet events;
  CHECK_THROWS_WITH_TEXT(train(setup.config({"run.name=\xff"
                                             "exp"}),
                               events),
                         ConfigError, "run.name: \"\\xffexp\" is not UTF-8");
  CHECK_THROWS_WITH_TEXT(train(setup.config({"data.train.yolo=\xfe/images"}), events), ConfigError,
                         "\\xfe/images\" is not UTF-8");
  CHECK(events.log.empty());
  CHECK_FALSE(std::filesystem::exists(setup.dir / "runs"));
}

}  // namespace
}  // namespace ydistill
