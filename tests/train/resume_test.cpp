// SPDX-License-Identifier: MIT
// Runs that were stopped and go on.
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

TEST_CASE("train: stopped and resumed equals uninterrupted bit for bit") {
  const Setup setup;
  Quiet whole;
  const TrainOutcome reference = train(setup.config({"run.name=whole"}), whole);
  REQUIRE(reference.finished);
  for (const int stop_after :
       {1, 4, 6}) {  // in the first epoch, inside and at the end of the second
    INFO("stopped after " << stop_after << " batches");
    Quiet first(stop_after);
    const TrainOutcome stopped =
        train(setup.config({fmt::format("run.name=cut{}", stop_after)}), first);
    CHECK_FALSE(stopped.finished);
    CHECK(first.log.find("train --resume") != std::string::npos);
    Quiet second;
    const TrainOutcome outcome = resume_training(stopped.run, second);
    CHECK(outcome.finished);
    CHECK(first.steps + second.steps == whole.steps);
    check_same_bits(reference.run / "weights/last.safetensors",
                    outcome.run / "weights/last.safetensors");
    check_same_bits(reference.run / "weights/best.safetensors",
                    outcome.run / "weights/best.safetensors");
    CHECK(test::read_file(reference.run / "results.csv") ==
          test::read_file(outcome.run / "results.csv"));
  }
}

TEST_CASE("train: stopped and resumed equals uninterrupted with every option of the recipe") {
  const Setup setup;
  for (const std::string kind : {"train.image_weights=true", "train.rect=true"}) {
    const std::vector<std::string> recipe{kind,
                                          "train.multi_scale=0.5",
                                          "train.epochs=3",
                                          "augment.mixup=0.5",
                                          "augment.mosaic9=0.5",
                                          "augment.perspective=0.0005",
                                          "augment.close_mosaic=1"};
    const auto config = [&](const std::string& name) {
      std::vector<std::string> overrides = recipe;
      overrides.push_back("run.name=" + kind.substr(6, 4) + name);
      return setup.config(overrides);
    };
    Quiet whole;
    const TrainOutcome reference = train(config("whole"), whole);
    REQUIRE(reference.finished);
    for (const int stop_after : {2, 4}) {
      INFO(kind << ", stopped after " << stop_after << " batches");
      Quiet first(stop_after), second;
      const TrainOutcome stopped = train(config(fmt::format("cut{}", stop_after)), first);
      CHECK_FALSE(stopped.finished);
      const TrainOutcome outcome = resume_training(stopped.run, second);
      CHECK(outcome.finished);
      check_same_bits(reference.run / "weights/last.safetensors",
                      outcome.run / "weights/last.safetensors");
      CHECK(test::read_file(reference.run / "results.csv") ==
            test::read_file(outcome.run / "results.csv"));
    }
  }
}

TEST_CASE("train: the mAP of each class is part of the state that image weights resume from") {
  const Setup setup;
  Quiet events;
  const TrainOutcome outcome =
      train(setup.config({"train.image_weights=true", "train.epochs=25"}), events);
  const TensorFile last = read_safetensors(outcome.run / "weights/last.safetensors");
  const std::string& state = last.metadata.at("train_state");
  const auto& classes = outcome.last.metrics.per_class;
  REQUIRE(classes.size() == 2);
  CHECK(state.find("\"class_map\":[") != std::string::npos);
  const size_t begin = state.find("\"class_map\":[") + 13;
  CHECK(std::stod(state.substr(begin)) == classes[0].map);
  CHECK(std::stod(state.substr(state.find(',', begin) + 1)) == classes[1].map);
}

TEST_CASE("train: adamw trains, and resumed it has the bits of an uninterrupted run") {
  const Setup setup;
  const std::vector<std::string> adamw{"train.optimizer=adamw", "train.lr0=0.001"};
  const auto with = [&](const std::string& more) {
    std::vector<std::string> all = adamw;
    all.push_back(more);
    return setup.config(all);
  };
  Quiet whole, first(4), second;
  const TrainOutcome reference = train(with("run.name=whole"), whole);
  CHECK(whole.results.back().train_obj < whole.results.front().train_obj);
  const TrainOutcome stopped = train(with("run.name=cut"), first);
  CHECK_FALSE(stopped.finished);
  check_same_bits(reference.run / "weights/last.safetensors",
                  resume_training(stopped.run, second).run / "weights/last.safetensors");
}

TEST_CASE("train: bfloat16 trains as float32 does, and resumed it has the bits of a whole run") {
  const Setup setup;
  Quiet single, whole, first(4), second;
  train(setup.config({"run.name=single"}), single);
  const TrainOutcome reference = train(setup.config({"precision=bf16", "run.name=whole"}), whole);
  CHECK(whole.log.find("cpu in bf16") != std::string::npos);
  // Three epochs of one seed: losses part by what roundings to 8 bits do to a few dozen steps.
  CHECK(whole.results.back().train_box == Approx(single.results.back().train_box).epsilon(0.05));
  CHECK(whole.results.back().train_obj == Approx(single.results.back().train_obj).epsilon(0.05));
  const TrainOutcome stopped = train(setup.config({"precision=bf16", "run.name=cut"}), first);
  CHECK_FALSE(stopped.finished);
  check_same_bits(reference.run / "weights/last.safetensors",
                  resume_training(stopped.run, second).run / "weights/last.safetensors");
}

TEST_CASE(
    "train: resumed with fewer pictures the epoch begins anew, and the weights still change") {
  const Setup setup;
  Quiet first(7), second;  // 12 pictures are 3 batches: in the third epoch
  const TrainOutcome stopped = train(setup.config({"train.epochs=6"}), first);
  REQUIRE_FALSE(stopped.finished);
  for (int i = 4; i < 12; ++i) {
    std::filesystem::remove(setup.dir / fmt::format("train/images/p{:03}.png", i));
  }
  const auto weights = [&] { return read_safetensors(stopped.run / "weights/last.safetensors"); };
  const TensorFile before = weights();
  CHECK(resume_training(stopped.run, second).finished);
  CHECK(second.log.find("an epoch has 1 batches now, 3 when the run was stopped") !=
        std::string::npos);
  const TensorFile after = weights();
  const Tensor &a = before.at("raw.model.1.conv.weight"), &b = after.at("raw.model.1.conv.weight");
  CHECK(std::memcmp(a.raw(), b.raw(), size_t(a.nbytes())) != 0);
}

TEST_CASE("train: resumed with other classes, or the same in another order, it is refused") {
  const Setup setup;
  const auto write_names = [&](const char* names) {
    test::write_file(setup.dir / "train.yaml",
                     std::string("train: train/images\nval: val/images\nnames: ") + names + "\n");
  };
  write_names("[wide, high]");
  const std::string data =
      R"(data={"yaml": ")" + (setup.dir / "train.yaml").string() + R"(", "label_cache": false})";
  Quiet first(2), second;
  const TrainOutcome stopped =
      train(setup.config({data, "data.names=null", "data.train=null", "data.val=null"}), first);
  for (const char* names : {"[high, wide]", "[wide, high, new]"}) {
    write_names(names);
    CHECK_THROWS_WITH_TEXT(resume_training(stopped.run, second), ConfigError,
                           "the run trains the classes wide, high, but its data has the classes");
  }
  write_names("[wide, high]");
  CHECK(resume_training(stopped.run, second).finished);
}

TEST_CASE("train: a resumed run says that its labels or its teacher are others") {
  const Setup setup;
  Quiet teaches, first(2), same(2), second(2), third;
  const TrainOutcome teacher = train(setup.config({"train.epochs=1"}), teaches);
  const TrainOutcome stopped = train(setup.config({teacher_of(teacher)}), first);
  resume_training(stopped.run, same);
  CHECK(same.log.find("than when the run was stopped") == std::string::npos);
  CHECK(same.log.find("teacher: precision") == std::string::npos);
  test::write_file(setup.dir / "train/labels/p000.txt", "1 0.5 0.5 0.25 0.5\n");
  test::write_file(setup.dir / "val/labels/p000.txt", "1 0.5 0.5 0.25 0.5\n");
  resume_training(stopped.run, second);
  CHECK(second.log.find("data.train: other pictures or labels than when the run was stopped") !=
        std::string::npos);
  CHECK(second.log.find("data.val: other pictures or labels than when the run was stopped") !=
        std::string::npos);
  std::filesystem::copy_file(teacher.run / "weights/last.safetensors",
                             teacher.run / "weights/best.safetensors",
                             std::filesystem::copy_options::overwrite_existing);
  CHECK(resume_training(stopped.run, third).finished);
  CHECK(third.log.find("data.train: other") == std::string::npos);
  CHECK(third.log.find("best.safetensors is another file than when the run was stopped") !=
        std::string::npos);
  CHECK(third.log.find("teacher: precision") != std::string::npos);
}

TEST_CASE("train: a resumed run says that its best weights are missing") {
  const Setup setup;
  Quiet first(4), second;  // in the second epoch
  const TrainOutcome stopped = train(setup.config(), first);
  std::filesystem::remove(stopped.run / "weights/best.safetensors");
  CHECK(resume_training(stopped.run, second).finished);
  CHECK(second.log.find("best.safetensors is missing; only an epoch as good as epoch 1") !=
        std::string::npos);
}

TEST_CASE("train: a run that another process works in is not resumed") {
  const Setup setup;
  Quiet events;
  const TrainOutcome outcome = train(setup.config({"train.epochs=1"}), events);
  test::write_file(outcome.run / "weights/.last.safetensors.1-0.tmp", "half a checkpoint");
  {
    const FolderLock held(outcome.run);
    CHECK_THROWS_WITH_TEXT(resume_training(outcome.run, events), FileError,
                           "another process is working in this folder");
  }
  CHECK(resume_training(outcome.run, events).finished);
  CHECK_FALSE(std::filesystem::exists(outcome.run / "weights/.last.safetensors.1-0.tmp"));
}

TEST_CASE("train: stopped before its first batch it can be resumed, with the bits of a whole run") {
  const Setup setup;
  Quiet whole, rest;
  train(setup.config({"run.name=whole"}), whole);
  StopAt first("run: "), again("data.train: 12 pictures");
  const TrainOutcome stopped = train(setup.config({"run.name=cut"}), first);
  CHECK_FALSE(stopped.finished);
  CHECK(first.steps == 0);
  CHECK(first.log.find("run: stopped in epoch 1 after 0 of 3 batches; continue with") !=
        std::string::npos);
  const TrainOutcome once_more = resume_training(stopped.run, again);
  CHECK_FALSE(once_more.finished);
  CHECK(once_more.run == stopped.run);
  CHECK(again.steps == 0);
  CHECK(again.log.ends_with("run: stopped before it continued; " + stopped.run.string() +
                            " is unchanged\n"));
  CHECK(resume_training(stopped.run, rest).finished);
  check_same_bits(setup.dir / "runs/whole/weights/last.safetensors",
                  stopped.run / "weights/last.safetensors");
}

TEST_CASE("train: a resumed run says that a changed config.json has no effect") {
  const Setup setup;
  Quiet first(3);
  const auto run = train(setup.config(), first).run;
  Quiet same(3);
  resume_training(run, same);
  CHECK(same.log.find("the config in the checkpoint") == std::string::npos);
  std::string text = test::read_file(run / "config.json");
  text.replace(text.find("\"epochs\": 3"), 11, "\"epochs\": 9");
  for (const std::string& changed : {text, std::string("{")}) {
    test::write_file(run / "config.json", changed);
    Quiet other(3);
    resume_training(run, other);
    CHECK(other.log.find("config.json differs from the config in the checkpoint, which is used") !=
          std::string::npos);
  }
}

TEST_CASE("train: resuming something that is no run is refused") {
  Quiet events;
  const test::TempDir empty;
  CHECK_THROWS_WITH_TEXT(resume_training(empty.path(), events), FileError,
                         "not the folder of a run");
}

}  // namespace
}  // namespace ydistill
