// SPDX-License-Identifier: MIT
// The commands that find objects: detect, and val's boxes.
#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "support/catch.h"
#include "support/files.h"
#include "tools/command_setup.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

TEST_CASE("command: detect --timing says how long every stage took, only when asked") {
  const Setup setup;
  const std::string detect =
      "detect --weights tiny.safetensors --source 'val/images/*.png' --out found --size 64 --json";
  const Outcome timed = setup.run(detect + " --timing");
  REQUIRE(timed.code == 0);
  const auto stages = nlohmann::json::parse(timed.out).at("timing_ms");
  for (const char* stage : {"weights", "build", "picture", "letterbox", "first_network",
                            "further_network", "nms", "write"}) {
    INFO(stage);
    CHECK(stages.at(stage).get<double>() > 0);
    CHECK(timed.err.find(std::string(stage) + " ") != std::string::npos);
  }
  const auto document = nlohmann::json::parse(timed.out);
  CHECK(document.at("timing_ms_per_picture").at("nms").get<double>() ==
        Approx(stages.at("nms").get<double>() / 4));
  CHECK(document.at("timing_ms_per_picture").at("further_network").get<double>() ==
        Approx(stages.at("further_network").get<double>() / 3));
  CHECK_FALSE(document.at("timing_ms_per_picture").contains("weights"));
  CHECK(document.at("pictures_per_second").get<double>() > 0);
  CHECK(timed.err.find(" pictures/s") != std::string::npos);
  const auto plain = nlohmann::json::parse(setup.run(detect).out);
  for (const char* key : {"timing_ms", "timing_ms_per_picture", "pictures_per_second"}) {
    CHECK_FALSE(plain.contains(key));
  }
}

TEST_CASE("command: detect --batch writes what one picture at a time writes, in the same order") {
  const Setup setup;
  // Two shapes in turns, the last batch smaller, one file that is no picture.
  test::write_file(setup.dir / "mixed/m2b.png", "no picture");
  for (int i = 0; i < 5; ++i) {
    const Image image = Image::filled(i % 2 == 0 ? 64 : 40, i % 2 == 0 ? 40 : 64, uint8_t(60 + i));
    write_png(setup.dir / fmt::format("mixed/m{}.png", i), image);
  }
  const std::string detect =
      "detect --weights tiny.safetensors --source mixed --size 64 --conf 0.0001 --json";
  const Outcome single = setup.run(detect + " --out one");
  REQUIRE(single.code == 0);
  const auto expected = nlohmann::json::parse(single.out).at("images");
  REQUIRE(expected.size() == 5);
  // However many are read together.
  for (const std::string threads : {"1", "2", "8"}) {
    INFO(threads << " threads");
    const Outcome batched =
        setup.run(detect + " --out many --batch 4 --timing --threads " + threads);
    INFO(batched.err);
    REQUIRE(batched.code == 0);
    CHECK(batched.err.find("m2b.png") != std::string::npos);
    const auto document = nlohmann::json::parse(batched.out);
    const auto images = document.at("images");
    REQUIRE(images.size() == 5);
    for (size_t i = 0; i < images.size(); ++i) {
      CHECK(images[i].at("path") == expected[i].at("path"));
      const auto &got = images[i].at("detections"), &wanted = expected[i].at("detections");
      REQUIRE(got.size() == wanted.size());
      CHECK_FALSE(got.empty());
      for (size_t k = 0; k < got.size(); ++k) {
        CHECK(got[k].at("class") == wanted[k].at("class"));
        for (size_t side = 0; side < 4; ++side) {
          CHECK(got[k].at("box_xyxy")[side].get<double>() ==
                Approx(wanted[k].at("box_xyxy")[side].get<double>()).margin(0.01));
        }
      }
      CHECK(fs::exists(setup.dir / "many" / fmt::format("m{}.jpg", i)));
    }
    // Four pictures were read at first, of which three could be run.
    CHECK(document.at("timing_ms_per_picture").at("first_network").get<double>() ==
          Approx(document.at("timing_ms").at("first_network").get<double>() / 3));
  }
}

TEST_CASE("command: detect takes classes by name and number and leaves out the others") {
  const Setup setup;
  const std::string args =
      "detect --weights tiny.safetensors --source val/images --size 64 --conf 0.0001 --json --out ";
  const auto classes_in = [](const Outcome& o) {
    INFO(o.err);
    CHECK(o.code == 0);
    std::set<std::string> names;
    const auto document = nlohmann::json::parse(o.out);
    for (const auto& picture : document.at("images")) {
      for (const auto& box : picture.at("detections")) names.insert(box.at("name"));
    }
    return names;
  };
  CHECK(classes_in(setup.run(args + "a")) == std::set<std::string>{"high", "wide"});
  CHECK(classes_in(setup.run(args + "b --classes high")) == std::set<std::string>{"high"});
  CHECK(classes_in(setup.run(args + "c --tta --agnostic --classes 0")) ==
        std::set<std::string>{"wide"});
  check_refused(setup.run(args + "d --classes hihg"), 2,
                "--classes: the weights have no class \"hihg\", the nearest is \"high\"");
  check_refused(setup.run(args + "d --classes high 2"), 2,
                "--classes: there is no class 2, the weights have 0 to 1");
  check_refused(setup.run(args + "d --max-det 0"), 2, "--max-det");
  CHECK_FALSE(fs::exists(setup.dir / "d"));
}

TEST_CASE("command: val writes its boxes as COCO results, and overwrites nothing") {
  const Setup setup;
  const std::string args = "val cfg.json model.weights=tiny.safetensors --coco-results ";
  const Outcome done = setup.run(args + "boxes.json");
  INFO(done.err);
  CHECK(done.code == 0);
  const auto boxes = nlohmann::json::parse(read_file(setup.dir / "boxes.json"));
  REQUIRE_FALSE(boxes.empty());
  CHECK(boxes[0].contains("image_id"));
  check_refused(setup.run(args + "boxes.json"), 2, "boxes.json: already exists");
  for (const char* nowhere : {"cfg.json/b.json", "none/b.json", "none/"}) {
    const Outcome o = setup.run(args + nowhere);
    CHECK(o.code == 1);
    CHECK(num_lines(o.err) == 1);  // before anything is read
  }
  // In pixels of the pictures, 64 x 64, not of the network's input.
  REQUIRE(setup.run(args + "large.json val.image_size=128").code == 0);
  const auto large = nlohmann::json::parse(read_file(setup.dir / "large.json"));
  REQUIRE_FALSE(large.empty());
  for (const auto& box : large) {
    const auto xywh = box.at("bbox").get<std::vector<double>>();
    CHECK((xywh[0] >= 0 && xywh[0] + xywh[2] < 64.01 && xywh[1] >= 0 && xywh[1] + xywh[3] < 64.01));
  }
}

TEST_CASE("command: detect --batch refuses what is no number of pictures in one line") {
  const Setup setup;
  for (const char* batch : {"0", "-2", "1025", "1.5", "x", "''"}) {
    INFO(batch);
    const Outcome o = setup.run(
        "detect --weights tiny.safetensors --source val/images --out o "
        "--batch " +
        std::string(batch));
    check_refused(o, 2, "--batch: expected a whole number from 1 to 1024");
  }
  CHECK_FALSE(fs::exists(setup.dir / "o"));
}

}  // namespace
}  // namespace ydistill
