// SPDX-License-Identifier: MIT
// `ydistill video` between pipes and files.
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include <ydistill/detect/detector.h>
#include <ydistill/tensor/random.h>

#include "tools/command_setup.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

/// Three grey frames of noise, as a stream and as pictures.
struct Video {
  std::string stream = "YUV4MPEG2 W48 H32 F10:1 Cmono XCOLORRANGE=FULL\n";
  std::vector<Image> frames;

  Video() {
    for (uint64_t seed = 0; seed < 3; ++seed) {
      Rng rng(seed);
      Image image = Image::filled(48, 32, 0);
      stream += "FRAME\n";
      for (size_t i = 0; i < image.rgb.size(); i += 3) {
        image.rgb[i] = image.rgb[i + 1] = image.rgb[i + 2] = uint8_t(rng.below(256));
        stream += char(image.rgb[i]);
      }
      frames.push_back(std::move(image));
    }
  }
};

const std::string kVideo = "video --weights tiny.safetensors --size 64 ";

TEST_CASE("command: video finds in each frame what Detector finds in its picture") {
  const Setup setup;
  const Video video;
  write_file(setup.dir / "in.y4m", video.stream);
  const Outcome o = setup.run(kVideo + "--conf 0.0001 --precision fp32 --json - --source in.y4m");
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(num_lines(o.err) == 1);
  CHECK(o.err.starts_with("48x32: 3 frames, "));
  Detector detector(setup.dir / "tiny.safetensors", {.conf = 0.0001, .image_size = 64});
  std::istringstream lines(o.out);
  std::string line;
  for (size_t i = 0; i < 3; ++i) {
    REQUIRE(std::getline(lines, line));
    const auto json = nlohmann::json::parse(line);
    CHECK(json.at("frame") == i);
    CHECK(json.at("time").get<double>() == Approx(0.1 * double(i)));
    const std::vector<Detection> expected = detector.detect(video.frames[i]);
    REQUIRE(json.at("detections").size() == expected.size());
    for (size_t k = 0; k < expected.size(); ++k) {
      const auto& found = json.at("detections")[k];
      CHECK(found.at("class") == expected[k].class_id);
      CHECK(found.at("score").get<float>() == Approx(expected[k].score).epsilon(1e-5));
      CHECK(found.at("box_xyxy")[2].get<float>() == Approx(expected[k].x2).margin(1e-3));
    }
  }
  CHECK_FALSE(std::getline(lines, line));
}

TEST_CASE("command: video passes frames on, and changes only those with boxes") {
  const Setup setup;
  const Video video;
  write_file(setup.dir / "in.y4m", video.stream);
  const Outcome untouched = setup.run(kVideo + "--conf 1 --out - < in.y4m");
  CHECK(untouched.code == 0);
  CHECK(untouched.out == video.stream);
  const Outcome drawn = setup.run(kVideo + "--conf 0.0001 --out drawn.y4m --json boxes < in.y4m");
  CHECK(drawn.code == 0);
  CHECK(drawn.out.empty());
  const std::string stream = read_file(setup.dir / "drawn.y4m");
  CHECK(stream.size() == video.stream.size());
  CHECK(stream != video.stream);
  CHECK(num_lines(read_file(setup.dir / "boxes")) == 3);
}

TEST_CASE("command: video keeps the order of many frames, each with its own boxes") {
  const Setup setup;
  std::string stream = "YUV4MPEG2 W32 H16 F10:1 C420jpeg\n";
  for (uint64_t frame = 0; frame < 200; ++frame) {
    Rng rng(frame);
    stream += "FRAME\n";
    for (int i = 0; i < 32 * 16 * 3 / 2; ++i) stream += char(rng.below(256));
  }
  write_file(setup.dir / "in.y4m", stream);
  const Outcome untouched = setup.run(kVideo + "--conf 1 --out - < in.y4m");
  CHECK(untouched.code == 0);
  CHECK(untouched.out == stream);
  // Cut within a frame: what came whole is written.
  const size_t frame = 6 + 32 * 16 * 3 / 2;
  const std::string head = fmt::format("head -c {} in.y4m |", 33 + 50 * frame + 100);
  const Outcome cut = setup.run(kVideo + "--conf 1 --out cut.y4m --source -", head);
  CHECK(cut.code == 1);
  CHECK(cut.err.find("standard input: ends within frame 51: 94 of 768 bytes") != std::string::npos);
  CHECK(read_file(setup.dir / "cut.y4m") == stream.substr(0, 33 + 50 * frame));
  // A header alone is a video of no frames.
  const Outcome none = setup.run(kVideo + "--out none.y4m --source -", "head -c 33 in.y4m |");
  CHECK(none.code == 0);
  CHECK(read_file(setup.dir / "none.y4m") == stream.substr(0, 33));
}

TEST_CASE("command: video refuses in one line what it cannot do, and overwrites nothing") {
  const Setup setup;
  write_file(setup.dir / "in.y4m", Video().stream);
  write_file(setup.dir / "good", "good");
  check_refused(setup.run(kVideo + "--source in.y4m"), 2, "give --out, --json or both");
  check_refused(setup.run(kVideo + "--out - --json - < in.y4m"), 2, "both name -");
  check_refused(setup.run(kVideo + "--out good < in.y4m"), 2, "--out good: already exists");
  check_refused(setup.run(kVideo + "--json good < in.y4m"), 2, "--json good: already exists");
  CHECK(read_file(setup.dir / "good") == "good");
  check_refused(setup.run(kVideo + "--json none/x < in.y4m"), 1, "none/x: cannot be written");
  check_refused(setup.run(kVideo + "--json - --source none.y4m"), 1, "none.y4m: no such file");
  check_refused(setup.run(kVideo + "--json - --source train"), 1, "train: a folder");
  check_refused(setup.run(kVideo + "--json - < cfg.json"), 1, "expected 8-bit YUV4MPEG2");
  check_refused(setup.run("video --weights tiny.safetensors --size 65 --json - < in.y4m"), 2,
                "video: --size: must be a multiple of 16, got 65");
  check_refused(setup.run("video --weights none.pt --json - < in.y4m"), 1, "none.pt");
  check_refused(setup.run("detect --weights tiny.safetensors --out x --source in.y4m"), 1,
                "in.y4m: a video; see `ydistill video --help`");
  const Outcome cut = setup.run(kVideo + "--json - --source -", "head -c 2500 in.y4m |");
  CHECK(cut.code == 1);
  CHECK(num_lines(cut.out) == 1);  // the frame that came whole
  CHECK(cut.err == "ydistill: standard input: ends within frame 2: 905 of 1536 bytes\n");
  check_refused(setup.run(kVideo + "--json /dev/full < in.y4m"), 1,
                "/dev/full: cannot be written any more");
  const Outcome full = setup.run(kVideo + "--out /dev/full --source -",
                                 "(head -c 51 in.y4m; sleep 1; tail -c +52 in.y4m) |");
  CHECK(full.code == 1);
  CHECK(full.err.find("/dev/full: cannot be written any more") != std::string::npos);
  check_refused(setup.run(kVideo + "--json - < train"), 1,
                "standard input: cannot be read: Is a directory");
}

}  // namespace
}  // namespace ydistill
