// SPDX-License-Identifier: MIT
// A whole training run small enough for a test, and someone who listens to it.
#pragma once

#include <string>
#include <vector>

#include <fmt/format.h>

#include <ydistill/train/trainer.h>

#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill::test {

/// Keeps what a run says and stops it after some batches; never: negative.
class QuietEvents : public TrainEvents {
 public:
  explicit QuietEvents(int64_t stop_after = -1) : stop_after_(stop_after) {}
  void message(const std::string& line) override { log += line + "\n"; }
  void step(const StepProgress&) override { ++steps; }
  void epoch(const EpochResult& result, int64_t, double) override { results.push_back(result); }
  bool stop_requested() override { return stop_after_ >= 0 && steps >= stop_after_; }

  std::string log;
  int64_t steps = 0;
  std::vector<EpochResult> results;

 private:
  int64_t stop_after_;
};

/// Stops the run as soon as it has said something that begins so.
class StopAt : public QuietEvents {
 public:
  explicit StopAt(std::string beginning) : beginning_(std::move(beginning)) {}
  void message(const std::string& line) override {
    QuietEvents::message(line);
    stops_ = stops_ || line.starts_with(beginning_);
  }
  bool stop_requested() override { return stops_; }

 private:
  const std::string beginning_;
  bool stops_ = false;
};

/// The tiny set and network in a folder of their own, with a config of three epochs in runs/.
struct TinyRun {
  TempDir dir;

  TinyRun() {
    write_tiny_set(dir / "train", 12);
    write_tiny_set(dir / "val", 6, 2);
    write_file(dir / "graph.json", tiny_graph());
  }
  Config config(std::vector<std::string> overrides = {}) const {
    const std::string text = fmt::format(
        R"({{"model": {{"graph": "graph.json"}},
             "data": {{"train": {{"yolo": "train/images"}}, "val": {{"yolo": "val/images"}}, "names": ["wide", "high"]}},
             "train": {{"epochs": 3, "batch": 4, "image_size": 64, "nominal_batch": 8, "warmup_min_iterations": 4, "workers": 1}},
             "device": "cpu", "precision": "fp32", "run": {{"dir": "{}"}}}})",
        (dir / "runs").string());
    return parse_config(text, dir.path(), overrides);
  }
};

/// The override that makes a run's best weights the teacher.
inline std::string teacher_of(const TrainOutcome& taught) {
  return "teacher={\"weights\":\"" + (taught.run / "weights/best.safetensors").string() + "\"}";
}

}  // namespace ydistill::test
