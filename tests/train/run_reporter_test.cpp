// SPDX-License-Identifier: MIT
#include <ydistill/train/run_reporter.h>
#include <ydistill/train/trainer.h>

#include <fmt/format.h>

#include <cmath>

#include <ydistill/tensor/error.h>
#include <ydistill/train/report/tensorboard.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_run.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;

using Quiet = test::QuietEvents;

struct Setup : test::TinyRun {
  fs::path teacher() const {
    Quiet events;
    return train(config({"train.epochs=2", "run.name=teacher"}), events).run /
           "weights/best.safetensors";
  }
};

TEST_CASE("run reporter: a distillation leaves the folder of a YOLOv5 run and the whole record") {
  const Setup setup;
  const std::string teacher = "teacher.weights=" + setup.teacher().string();
  test::write_file(setup.dir / "train/labels/p001.txt", "7 0.5 0.5 0.2 0.2\n");
  Quiet events;
  const TrainOutcome outcome = train(setup.config({teacher}), events);
  for (const char* name : {"results.png", "labels.png", "confusion_matrix.png", "F1_curve.png",
                           "P_curve.png", "R_curve.png", "PR_curve.png", "report.html",
                           "report.json", "events.out.tfevents.ydistill", "val_batch0_pred.jpg"}) {
    INFO(name);
    CHECK(fs::exists(outcome.run / name));
  }
  const RunRecord r = read_run_record(outcome.run);
  CHECK(r.finished);
  CHECK(r.results.rows.size() == 3);
  REQUIRE(r.speed.size() == 3);
  CHECK(r.speed[2].train_seconds > 0);
  REQUIRE(r.last);
  CHECK(r.last->epoch == 2);
  CHECK(r.last->confusion.size() == 9);
  CHECK(r.last->metrics.map == Approx(r.results.values("metrics/mAP_0.5:0.95")[2]).margin(1e-6));
  REQUIRE(r.best);
  CHECK(r.best->epoch == r.results.epochs[*r.results.best_row()]);
  REQUIRE(r.teacher);
  REQUIRE(r.teacher->validation);
  CHECK(r.teacher->validation->metrics.images == 6);
  REQUIRE(r.maps.size() == 4);
  for (const ObjectnessMap& m : r.maps) {
    CHECK_FALSE(m.teacher.empty());
    CHECK_FALSE(m.student.empty());
  }
  REQUIRE(r.train.num_findings == 1);
  CHECK(r.train.findings[0].find("p001.txt:1: ") != std::string::npos);
  CHECK(r.train.class_counts[0] + r.train.class_counts[1] == 11);
}

TEST_CASE("run reporter: a stopped and resumed run has the same report with no step twice") {
  const Setup setup;
  const std::string teacher = "teacher.weights=" + setup.teacher().string();
  Quiet whole, first(4), second;
  const TrainOutcome reference = train(setup.config({teacher, "run.name=whole"}), whole);
  const TrainOutcome stopped = train(setup.config({teacher, "run.name=cut"}), first);
  REQUIRE_FALSE(stopped.finished);
  CHECK(fs::exists(stopped.run / "report.html"));
  CHECK_FALSE(read_run_record(stopped.run).finished);
  REQUIRE(resume_training(stopped.run, second).finished);
  CHECK(second.log.find("teacher: precision") == std::string::npos);  // known from before
  const RunRecord a = read_run_record(reference.run), b = read_run_record(stopped.run);
  CHECK(a.results.rows == b.results.rows);
  REQUIRE(b.speed.size() == 3);
  for (int64_t e = 0; e < 3; ++e) CHECK(b.speed[size_t(e)].epoch == e);
  CHECK(b.teacher->validation->metrics.map == a.teacher->validation->metrics.map);
  REQUIRE(b.maps.size() == a.maps.size());
  for (size_t i = 0; i < a.maps.size(); ++i) {
    CHECK(a.maps[i].teacher == b.maps[i].teacher);
    CHECK(a.maps[i].student == b.maps[i].student);
  }
  REQUIRE(a.best->worst.size() == b.best->worst.size());
  for (size_t i = 0; i < a.best->worst.size(); ++i) {
    CHECK(a.best->worst[i].name == b.best->worst[i].name);
  }
  // Every tag stands once an epoch in the event file.
  const std::string bytes = test::read_file(stopped.run / "events.out.tfevents.ydistill");
  int64_t times = 0;
  const std::string tag = "train/box_loss";
  for (size_t at = bytes.find(tag); at != bytes.npos; at = bytes.find(tag, at + 1)) ++times;
  CHECK(times == 3);
}

TEST_CASE("run reporter: resuming a finished run completes a report that a kill cut off") {
  const Setup setup;
  Quiet first, second;
  const TrainOutcome outcome = train(setup.config(), first);
  RunRecord cut = read_run_record(outcome.run);
  cut.finished = false;
  cut.results.rows.pop_back();
  cut.results.epochs.pop_back();
  test::write_file(outcome.run / "report.json", to_json(cut));
  fs::remove(outcome.run / "results.png");
  REQUIRE(resume_training(outcome.run, second).finished);
  CHECK(read_run_record(outcome.run).finished);
  CHECK(read_run_record(outcome.run).results.rows.size() == 3);
  CHECK(fs::exists(outcome.run / "results.png"));
}

TEST_CASE(
    "run reporter: a run that ends early for lack of patience is finished with its pictures") {
  const Setup setup;
  Quiet events;
  // A rate so small that nothing ever changes.
  const TrainOutcome outcome =
      train(setup.config({"train.epochs=50", "train.patience=3", "train.lr0=1e-12",
                          "train.warmup_bias_lr=0", "train.ema_decay=0"}),
            events);
  const RunRecord r = read_run_record(outcome.run);
  CHECK(r.finished);
  CHECK(r.results.rows.size() < 50);
  CHECK(fs::exists(outcome.run / "val_batch0_pred.jpg"));
  CHECK(fs::exists(outcome.run / "results.png"));
}

TEST_CASE("run reporter: a report that cannot be read is said and begun anew") {
  const Setup setup;
  Quiet first(4), second;
  const TrainOutcome stopped = train(setup.config(), first);
  test::write_file(stopped.run / "report.json", "{\"format\": 1");
  REQUIRE(resume_training(stopped.run, second).finished);
  CHECK(second.log.find("report: a new one is begun, ") != std::string::npos);
  CHECK(read_run_record(stopped.run).results.rows.size() == 3);
}

TEST_CASE("run reporter: a map of objectness is bright where a cell is sure and dark elsewhere") {
  const test::TempDir dir;
  Dataset dataset;
  dataset.samples.resize(1);
  dataset.samples[0].image = "folder/p.jpg";
  Batch batch;
  batch.images = Tensor::zeros({1, 32, 32, 3}, DType::kUInt8);
  batch.indices = {0};
  batch.letterboxes = {validation_letterbox(32, 32, 32, 32, 32)};
  // Two scales of one anchor: the fine one sure of its last cell, the coarse one of nothing.
  Tensor fine = Tensor::full({1, 4, 4, 1, 6}, -20), coarse = Tensor::full({1, 2, 2, 1, 6}, -20);
  fine.data<float>()[15 * 6 + 4] = 20;
  const std::vector<Tensor> logits{fine, coarse};
  const std::vector<std::vector<Detection>> found(1);
  const std::vector<std::vector<TruthBox>> truths{{{0, 4, 4, 20, 20}}};
  ObjectnessPictures maps;
  maps.add({0, batch, logits, found, found, truths}, dataset);
  REQUIRE(maps.taken().size() == 1);
  CHECK(maps.taken()[0].name == "p.jpg");
  test::write_file(dir / "map.jpg", maps.taken()[0].map);
  const Image map = read_image(dir / "map.jpg");
  CHECK(map.width == 32);
  CHECK(int(map.at(28, 28)[0]) > 140);
  CHECK(int(map.at(4, 4)[0]) < 40);
  CHECK(int(map.at(28, 4)[0]) < 40);
}

TEST_CASE("run reporter: worst and best pictures are told by their F1") {
  Dataset dataset;
  dataset.names = {"a", "b"};
  Batch batch;
  batch.images = Tensor::zeros({3, 32, 32, 3}, DType::kUInt8);
  for (int64_t i = 0; i < 3; ++i) {
    Sample sample;
    sample.image = fmt::format("folder/p{}.jpg", i);
    sample.width = sample.height = 32;
    dataset.samples.push_back(sample);
    batch.indices.push_back(i);
    batch.letterboxes.push_back(validation_letterbox(32, 32, 32, 32, 32));
  }
  const TruthBox truth{0, 4, 4, 20, 20};
  const Detection right{4, 4, 20, 20, 0.9f, 0}, wrong{4, 4, 20, 20, 0.9f, 1};
  const std::vector<Tensor> logits;
  const std::vector<std::vector<Detection>> found{{right}, {wrong}, {}};
  const std::vector<std::vector<TruthBox>> truths{{truth}, {truth, truth}, {}};
  ShownPictures shown;
  shown.add({0, batch, logits, found, found, truths}, dataset);
  REQUIRE(shown.worst().size() == 1);
  CHECK(shown.worst()[0].name == "p1.jpg");
  CHECK(shown.worst()[0].f1 == 0);
  CHECK_FALSE(shown.worst()[0].found[0].right);
  REQUIRE(shown.best().size() == 1);
  CHECK(shown.best()[0].name == "p0.jpg");
  CHECK(shown.best()[0].f1 == 1);
  CHECK(shown.best()[0].labels[0].x2 == Approx(20.0 / 32));
}

}  // namespace
}  // namespace ydistill
