// SPDX-License-Identifier: MIT
// `ydistill label`: a data set of what a network finds.
#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/data/dataset.h>

#include "support/catch.h"
#include "support/files.h"
#include "tools/command_setup.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

constexpr const char* kFind =
    " --weights tiny.safetensors --source val/images --size 64 --conf 0.0001 --max-det 7";

TEST_CASE("command: label writes the boxes that detect finds, under the ids of --classes") {
  const Setup setup;
  const auto found = nlohmann::json::parse(
      setup.run(std::string("detect --json --out found") + kFind).out)["images"];
  for (const std::string format : {"yolo", "voc", "coco"}) {
    INFO(format);
    const Outcome o =
        setup.run("label" + std::string(kFind) + " --classes high wide high --split val --out " +
                  format + " --to " + format);
    INFO(o.err);
    REQUIRE(o.code == 0);
    CHECK(o.out.empty());
    CHECK(o.err.find("val: 4 pictures, 28 labels, 2 classes") != std::string::npos);
    CHECK(o.err.find("in a config: \"data\": {\"val\": {\"" + format) != std::string::npos);
    const fs::path folder = setup.dir / format;
    DataSource source{DataSource::Kind::kYolo, folder / "images/val", {}, {}, {}};
    if (format == "voc") source = {DataSource::Kind::kVoc, folder, "val", {}, {}};
    if (format == "coco") {
      source = {DataSource::Kind::kCoco,
                folder / "annotations/instances_val.json",
                {},
                folder / "images/val",
                {}};
    }
    const Dataset data = load_dataset(source, {"high", "wide"});
    CHECK(data.findings.empty());
    REQUIRE(data.samples.size() == found.size());
    for (size_t i = 0; i < found.size(); ++i) {
      const auto& detections = found[i]["detections"];
      const Sample& sample = data.samples[i];
      REQUIRE(sample.labels.size() == detections.size());
      for (size_t k = 0; k < detections.size(); ++k) {
        const Label& label = sample.labels[k];
        const auto box = detections[k]["box_xyxy"].get<std::vector<double>>();
        CHECK(data.names[size_t(label.class_id)] == detections[k]["name"].get<std::string>());
        // VOC keeps three decimals of pixels.
        CHECK(label.cx * 64 == Approx((box[0] + box[2]) / 2).margin(2e-3));
        CHECK(label.cy * 64 == Approx((box[1] + box[3]) / 2).margin(2e-3));
        CHECK(label.w * 64 == Approx(box[2] - box[0]).margin(2e-3));
        CHECK(label.h * 64 == Approx(box[3] - box[1]).margin(2e-3));
      }
    }
  }
}

TEST_CASE("command: label takes all classes where none are named, and drops what is no picture") {
  const Setup setup;
  write_file(setup.dir / "val/images/broken.png", "no picture");
  const Outcome o = setup.run(std::string("label --out labelled") + kFind);
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.find("broken.png") != std::string::npos);
  CHECK(o.err.find("train: 4 pictures, 28 labels, 2 classes; dropped: 1 pictures") !=
        std::string::npos);
  // A data.yaml without validation would be refused.
  CHECK(o.err.find("in a config: \"data\": {\"train\": {\"yolo\": \"labelled/images/train\"}, "
                   "\"names\": [\"wide\", \"high\"]}") != std::string::npos);
  const std::string yaml = read_file(setup.dir / "labelled/data.yaml");
  CHECK(yaml.find("0: \"wide\"") != std::string::npos);
  CHECK(yaml.find("1: \"high\"") != std::string::npos);
}

TEST_CASE("command: classes that count as one are found, labelled and converted as that one") {
  const Setup setup;
  const std::string merge = " --merge long=wide,high";
  const Outcome detected = setup.run("detect --json --out found" + merge + kFind);
  REQUIRE(detected.code == 0);
  size_t boxes = 0;
  const auto found = nlohmann::json::parse(detected.out);
  for (const auto& picture : found["images"]) {
    for (const auto& box : picture["detections"]) {
      CHECK(box["name"].get<std::string>() == "long");
      ++boxes;
    }
  }
  CHECK(boxes > 0);
  const Outcome labelled = setup.run("label --out labelled --classes long" + merge + kFind);
  INFO(labelled.err);
  REQUIRE(labelled.code == 0);
  CHECK(labelled.err.find(fmt::format("4 pictures, {} labels, 1 classes", boxes)) !=
        std::string::npos);
  const Outcome converted = setup.run(
      "convert-data --names wide high --to voc --out voc --merge 'long = wide, high' train/images");
  INFO(converted.err);
  REQUIRE(converted.code == 0);
  CHECK(converted.err.find("\"long\" is wide, high") != std::string::npos);
  CHECK(converted.err.find("\"names\": [\"long\"]") != std::string::npos);

  const std::string label = "label --out new" + std::string(kFind);
  check_refused(setup.run(label + " --merge long=wide,hihg"), 2,
                "label: --merge: there is no class \"hihg\", the nearest is \"high\"");
  check_refused(setup.run(label + " --merge a=wide --merge b=wide"), 2,
                "label: --merge: \"wide\" cannot be part of \"a\" and of \"b\"");
  check_refused(setup.run(label + " --merge wide"), 2, "expected NAME=CLASS,CLASS");
  check_refused(setup.run(label + " --merge a="), 2, "\"a\" of a class without a name");
  check_refused(setup.run("detect --out d" + std::string(kFind) + " --classes wide" + merge), 2,
                "--classes: \"wide\" is merged into \"long\" by --merge");
  CHECK_FALSE(fs::exists(setup.dir / "new"));
}

TEST_CASE("command: label overwrites nothing and tells at once what is wrong") {
  const Setup setup;
  const std::string label = "label" + std::string(kFind);
  check_refused(setup.run(label + " --out val"), 1, "val: already exists; name a new folder");
  check_refused(setup.run(label + " --out new --classes wade"), 2,
                "the weights have no class \"wade\", the nearest is \"wide\"");
  check_refused(setup.run(label + " --out new --split 'a b'"), 2,
                "label: --split: write_dataset: split \"a b\"");
  check_refused(setup.run("label --weights tiny.safetensors --source none --size 64 --out new"), 1,
                "none");
  write_file(setup.dir / "bad/a.png", "no picture");
  const Outcome unreadable =
      setup.run("label --weights tiny.safetensors --source bad --size 64 --out new");
  CHECK(unreadable.code == 1);
  CHECK(unreadable.err.find("label: none of the pictures could be read") != std::string::npos);
  CHECK_FALSE(fs::exists(setup.dir / "new"));
}

TEST_CASE("command: a student is trained without a single label, on what its teacher finds") {
  const Setup setup;
  REQUIRE(setup.run(std::string("label --out held --split val --classes high") + kFind).code == 0);
  write_file(setup.dir / "free.json", R"({"model": {"graph": "graph.json"},
      "teacher": {"weights": "tiny.safetensors"},
      "data": {"unlabeled": {"pictures": "train/images"}, "val": {"yolo": "held/images/val"},
               "names": ["high"]},
      "train": {"epochs": 1, "batch": 4, "image_size": 64, "workers": 1}, "device": "cpu"})");
  const Outcome trained = setup.run("train free.json");
  INFO(trained.err);
  CHECK(trained.code == 0);
  CHECK(trained.err.find("the student learns only from the teacher") != std::string::npos);
  CHECK(trained.err.find("teacher: 1 of its 2 classes are the student's: high") !=
        std::string::npos);
  const Outcome memory = setup.run("info --memory free.json");
  INFO(memory.err);
  CHECK(memory.code == 0);
  const Outcome checked = setup.run("check free.json");
  INFO(checked.out);
  CHECK(checked.code == 0);
  CHECK(checked.out.find("unlabeled: 8 pictures without labels") != std::string::npos);
  CHECK(checked.out.find("train:") == std::string::npos);
}

}  // namespace
}  // namespace ydistill
