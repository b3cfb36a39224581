// SPDX-License-Identifier: MIT
// Sound configs, graphs and records of runs that were damaged: refused in one line, or read.
#include <string>

#include <ydistill/train/config.h>
#include <ydistill/train/report/record.h>
#include <ydistill/yolo/model.h>

#include "support/damage.h"
#include "train/tiny_data.h"

namespace ydistill::test {
namespace {

const std::filesystem::path kNoFile = "none";

TEST_CASE("fuzz: damaged configs") {
  const std::string whole = to_json(parse_config(
      R"({"model": {"graph": "yolov5n"}, "teacher": {"weights": "t.pt"}, "distill": {"loss": "kl"},
          "data": {"train": {"yolo": "a"}, "val": {"voc": "b", "split": "c"}, "names": ["x", "y"]},
          "train": {"epochs": 3, "lr0": 0.01, "freeze": ["model.0-9"]}, "augment": {"hsv_h": 0.1}})",
      "/", {}));
  const int refused = count_refused(3000, kNoFile, [&](Rng& rng) {
    const Config config = parse_config(damaged_text(whole, rng), "/", {}, "cfg.json");
    (void)to_json(config);
  });
  CHECK(refused > 300);
}

TEST_CASE("fuzz: damaged graphs") {
  const int refused = count_refused(1500, kNoFile, [&](Rng& rng) {
    const GraphSpec graph = graph_from_json(damaged_text(tiny_graph(), rng));
    if (graph.num_classes < 1 || graph.num_classes > 1 << 20) FAIL(graph.num_classes);
  });
  CHECK(refused > 300);
}

TEST_CASE("fuzz: damaged graphs in YAML") {
  const int refused = count_refused(1500, kNoFile, [&](Rng& rng) {
    (void)graph_from_yaml(damaged_text(tiny_graph_yaml(), rng));
  });
  CHECK(refused > 300);
}

TEST_CASE("fuzz: damaged records of runs") {
  RunRecord record;
  record.name = "exp";
  const std::string whole = to_json(record);
  const int refused = count_refused(3000, kNoFile, [&](Rng& rng) {
    (void)to_json(parse_record(damaged_text(whole, rng), "report.json"));
  });
  CHECK(refused > 300);
}

}  // namespace
}  // namespace ydistill::test
