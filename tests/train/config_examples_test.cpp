// SPDX-License-Identifier: MIT
// The config files in examples/ are read as they stand.
#include <ydistill/examples/shapes/scene.h>
#include <ydistill/train/config.h>
#include <ydistill/yolo/graph.h>

#include <filesystem>
#include <string>
#include <vector>

#include "support/catch.h"

using namespace ydistill;

namespace {

Config shapes_config(const std::string& name) {
  return load_config(std::filesystem::path(YDISTILL_SOURCE_DIR) / "examples/shapes" / name);
}

}  // namespace

TEST_CASE("config examples: the shapes files name the classes the program draws") {
  // The program draws the first four unless told otherwise.
  const std::vector<std::string> drawn(shapes::kClassNames.begin(),
                                       shapes::kClassNames.begin() + 4);
  for (const char* name : {"teacher.json", "student.json", "student_l2.json", "student_kl.json"}) {
    INFO(name);
    CHECK(shapes_config(name).data.names == drawn);
  }
}

TEST_CASE("config examples: the student has half the channels of its teacher") {
  const GraphSpec teacher = graph_by_name(shapes_config("teacher.json").model.graph);
  const GraphSpec student = graph_from_file(shapes_config("student.json").model.graph);
  CHECK(student.anchors == teacher.anchors);
  REQUIRE(student.layers.size() == teacher.layers.size());
  for (size_t i = 0; i + 1 < student.layers.size(); ++i) {  // the last is Detect
    INFO("layer " << i);
    CHECK(student.layers[i].type == teacher.layers[i].type);
    CHECK(student.layers[i].repeats == teacher.layers[i].repeats);
    CHECK(2 * student.layers[i].out_channels == teacher.layers[i].out_channels);
  }
}

TEST_CASE("config examples: the students differ in the teacher and the run name only") {
  const Config alone = shapes_config("student.json");
  CHECK_FALSE(alone.teacher.has_value());
  for (const char* loss : {"l2", "kl"}) {
    Config taught = shapes_config(std::string("student_") + loss + ".json");
    REQUIRE(taught.teacher.has_value());
    CHECK(taught.teacher->weights == std::filesystem::path(YDISTILL_SOURCE_DIR) /
                                         "runs/shapes/teacher/weights/best.safetensors");
    CHECK(taught.run.name == std::string("student_") + loss);
    taught.teacher.reset();
    taught.distill = alone.distill;
    taught.run.name = alone.run.name;
    CHECK(taught == alone);
  }
}
