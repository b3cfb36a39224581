// SPDX-License-Identifier: MIT
// The command in the hands of someone who mistypes, contradicts himself, or has a full disk.
#include <nlohmann/json.hpp>

#include "tools/command_setup.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

TEST_CASE("command: a word that is no command is named with the nearest one") {
  const test::TempDir dir;
  const Outcome typo = run(dir.path(), "trian cfg.json");
  check_refused(typo, 2,
                "\"trian\" is not a command; did you mean train? Commands: train, evolve,");
  check_refused(run(dir.path(), "Detect"), 2, "did you mean detect?");
  check_refused(run(dir.path(), "--foo"), 2, "--foo is not an option; expected a command");
  check_refused(run(dir.path(), ""), 2, "A subcommand is required");
}

TEST_CASE("command: contradictory and repeated options are refused, not ignored") {
  const Setup setup;
  const std::string detect = "detect --weights tiny.safetensors --source val/images --out o ";
  for (const char* option : {"--conf", "--iou"}) {
    for (const char* value : {"1.5", "-1", "nan", "x"}) {
      check_refused(setup.run(detect + option + "=" + value), 2,
                    std::string(option) + ": expected a number from 0 to 1");
    }
  }
  for (const char* size : {"0", "-16", "65"}) {
    check_refused(setup.run(detect + "--size=" + size), 2,
                  "detect: --size: must be a multiple of 16, got ");
  }
  check_refused(setup.run(detect + "--out p"), 2, "--out: expected one value, got 2");
  check_refused(setup.run("convert-data val/images --to coco --out o --images train"), 2,
                "--images: goes with COCO only");
  check_refused(setup.run("convert-data val/images --to coco --out o --split a/b"), 2, "--split: ");
  check_refused(setup.run("info --memory cfg.json --size 64"), 2, "--size requires --weights");
  check_refused(setup.run("info --memory --weights tiny.safetensors --budget 9"), 2,
                "excludes --budget");
  CHECK_FALSE(fs::exists(setup.dir / "o"));
}

TEST_CASE("command: an option that a command lacks is named with the nearest one") {
  const Setup setup;
  check_refused(setup.run("check cfg.json --quik"), 2,
                "check has no option --quik (did you mean --quick?); see ydistill check --help");
  const std::string detect = "detect --weights tiny.safetensors --source val/images --out o ";
  check_refused(setup.run(detect + "--img 64"), 2, "detect has no option --img; see ydistill");
  check_refused(setup.run(detect + "--confg=0.3"), 2, "no option --confg (did you mean --conf?)");
  check_refused(setup.run(detect + "--size 1e2"), 2, "--size: expected a number, got \"1e2\"");
  CHECK_FALSE(fs::exists(setup.dir / "o"));
}

TEST_CASE("command: what was given instead of a config, of weights or of a run is told") {
  const Setup setup;
  test::write_file(setup.dir / "set.yaml", "train: train/images\nnames: [wide, high]\n");
  test::write_file(setup.dir / "binary", std::string("\0\1", 2));
  check_refused(setup.run("train binary"), 2, "a config is JSON, but this file is not UTF-8 text");
  check_refused(setup.run("train set.yaml"), 2,
                "a config is JSON, and names a data.yaml as \"data\": {\"yaml\": \"data.yaml\"}");
  check_refused(setup.run("val tiny.safetensors"), 2,
                "tiny.safetensors: weights, no config; a config names them as model.weights");
  const std::string detect = "detect --source val/images --out o --weights ";
  check_refused(setup.run(detect + "train"), 1,
                "train: a folder; expected a file, .pt or .safetensors\n");
  test::write_file(setup.dir / "run/weights/best.safetensors", "");
  check_refused(setup.run(detect + "run"), 1, "such as run/weights/best.safetensors\n");
  for (const auto& [given, meant] : {std::pair{"data.train=train/images", "data.train.yolo"},
                                     {"data=set.yaml", "data.yaml"},
                                     {"teacher=tiny.safetensors", "teacher.weights"},
                                     {"model=yolov5n", "model.graph"},
                                     {"model=tiny.safetensors", "model.weights"}}) {
    check_refused(setup.run(std::string("train cfg.json ") + given), 2,
                  fmt::format("; did you mean {}?\n", meant));
  }
  check_refused(setup.run("train --resume run train.epochs=3"), 2,
                "a run continues with its own config; train.epochs=3 cannot be given with it");
  check_refused(setup.run("train"), 2, "name a config file, or a run folder with --resume\n");
  check_refused(setup.run("train run"), 2,
                "run: a folder; expected a config file, or --resume run to continue a run");
  check_refused(setup.run("train --resume cfg.json"), 1,
                "cfg.json: a file; expected the folder of a run");
  test::write_file(setup.dir / "empty.yaml", "names: [wide, high]\n");
  check_refused(setup.run("convert-data empty.yaml --to coco --out o"), 1,
                "empty.yaml: lists no pictures; expected a key train, val or test");
  test::write_file(setup.dir / "empty.json",
                   R"({"images": [], "annotations": [], "categories": []})");
  check_refused(setup.run("convert-data empty.json --images val/images --to yolo --out o"), 1,
                "empty.json: its list \"images\" is empty");
  check_refused(setup.run("compare cfg.json"), 1, "cfg.json: a file; expected the folder of a run");
  check_refused(setup.run("report cfg.json"), 1, "cfg.json: a file; expected the folder of a run");
  check_refused(setup.run("report none"), 1, "none: no such folder; expected the folder of a run");
  CHECK_FALSE(fs::exists(setup.dir / "runs"));
}

TEST_CASE("command: a file in the place of a run's folder is stepped over") {
  const Setup setup;
  test::write_file(setup.dir / "runs/exp", "");
  REQUIRE(setup.run("train cfg.json train.epochs=1 run.dir=runs").code == 0);
  CHECK(fs::exists(setup.dir / "runs/exp2/weights/best.safetensors"));
}

TEST_CASE("command: neither a checkpoint nor a run is overwritten by something else") {
  const Setup setup;
  REQUIRE(setup.run("train cfg.json train.epochs=1 run.dir=runs").code == 0);
  const std::string config = test::read_file(setup.dir / "runs/exp/config.json");
  const std::string last = "runs/exp/weights/last.safetensors";
  check_refused(setup.run("convert " + last + " runs/../" + last), 2,
                "is the input file; name another file to write");
  check_refused(setup.run("evolve cfg.json --generations 1 --quiet --out runs/exp"), 2,
                "runs/exp: holds a run; name another folder for the search");
  CHECK(test::read_file(setup.dir / "runs/exp/config.json") == config);
  CHECK(setup.run("train --quiet --resume runs/exp").code == 0);
}

TEST_CASE("command: pictures none of which has a label are refused, saying where it was looked") {
  const Setup setup;
  fs::rename(setup.dir / "train/labels", setup.dir / "train/annotations");
  for (const char* names : {"", " data.names=[]"}) {
    const Outcome o = setup.run(std::string("train cfg.json --quiet") + names);
    check_refused(o, 2,
                  "data.train: none of its 8 pictures has a label; those of a/images/b.jpg are "
                  "looked for in a/labels/b.txt and a/images/b.txt\n");
  }
  CHECK_FALSE(fs::exists(setup.dir / "runs"));
  // A teacher may have something to say about them all the same.
  const Outcome taught =
      setup.run("train cfg.json train.epochs=1 run.name=t teacher.weights=tiny.safetensors");
  INFO(taught.err);
  CHECK(taught.code == 0);
  CHECK(taught.err.find("data.train: none of its pictures has a label: the detection loss") !=
        std::string::npos);
  const std::string convert = "convert-data train/images --to yolo --out o";
  check_refused(setup.run(convert), 2,
                "train/images: no label found, so the classes are unknown; YOLO labels");
  CHECK_FALSE(fs::exists(setup.dir / "o"));
  CHECK(setup.run(convert + " --names wide").code == 0);
  fs::rename(setup.dir / "val/labels", setup.dir / "val/annotations");
  const Outcome val = setup.run("val cfg.json model.weights=tiny.safetensors");
  CHECK(val.code == 0);
  CHECK(val.err.find("data.val: none of its pictures has a label: ") != std::string::npos);
}

TEST_CASE("command: no picture and no config is overwritten by what is said about it") {
  const Setup setup;
  const std::string before = test::read_file(setup.dir / "val/images/p000.png");
  test::write_file(setup.dir / "own/a.jpg", before);
  fs::create_directories(setup.dir / "links");
  fs::create_symlink("../own/a.jpg", setup.dir / "links/a.jpg");
  const std::string detect = "detect --weights tiny.safetensors --size 64 --out own --source ";
  for (const char* source : {"own", "own/a.jpg", "'o*/*.jpg'", "links", "./links/../own/a.jpg"}) {
    INFO(source);
    check_refused(setup.run(detect + source), 2, "name another folder");
  }
  CHECK(test::read_file(setup.dir / "own/a.jpg") == before);
  const std::string config = test::read_file(setup.dir / "cfg.json");
  check_refused(setup.run("compare train --page cfg.json"), 2, "must end in .html");
  CHECK(test::read_file(setup.dir / "cfg.json") == config);
}

TEST_CASE("command: detect takes a file name that is no UTF-8") {
  const Setup setup;
  const std::string name = "mixed/a\xff\n.png";
  test::write_file(setup.dir / name, test::read_file(setup.dir / "val/images/p000.png"));
  const Outcome o =
      setup.run("detect --weights tiny.safetensors --source mixed --out o --size 64 --json");
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(num_lines(o.err) == 1);
  CHECK(nlohmann::json::parse(o.out).at("images").size() == 1);
  CHECK(fs::exists(setup.dir / "o" / "a\xff\n.txt"));
}

TEST_CASE("command: detect says how many files of a folder are of kinds that it does not read") {
  const Setup setup;
  for (const char* name : {"a.gif", "b.GIF", "c.webp", "d.tif", "e.mp4", "notes.txt"})
    test::write_file(setup.dir / "mixed" / name, "");
  const std::string detect =
      "detect --weights tiny.safetensors --source mixed --out o --size 64 --json";
  check_refused(setup.run(detect), 1,
                "mixed: no picture in this folder, expected .jpg, .jpeg, .png or .bmp; 5 files are "
                "left out, of kinds that are not read (.gif, .mp4, .tif, .webp)\n");
  fs::copy_file(setup.dir / "val/images/p000.png", setup.dir / "mixed/p.PNG");
  fs::create_symlink("nowhere", setup.dir / "mixed/q.png");
  const Outcome o = setup.run(detect);
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(nlohmann::json::parse(o.out).at("images").size() == 1);
  CHECK(o.err.find("mixed: 5 files are left out, of kinds that are not read (.gif, .mp4, .tif, "
                   ".webp)\n") != std::string::npos);
  CHECK(o.err.find("mixed/q.png: no such picture\n") != std::string::npos);
  CHECK(num_lines(o.err) == 4);  // the picture's own line and how many could not be read
  const Outcome all =
      setup.run("detect --weights tiny.safetensors --source val/images --out o --size 64 --json");
  CHECK(all.err.find("left out") == std::string::npos);
}

TEST_CASE("command: info takes a file name that is no UTF-8") {
  const Setup setup;
  fs::copy_file(setup.dir / "tiny.safetensors", setup.dir / "b\xff.safetensors");
  const Outcome o = setup.run("info b\xff.safetensors --json");
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(nlohmann::json::parse(o.out).at("num_classes") == 2);
}

TEST_CASE("command: messages that cannot be written stop nothing and go into no file") {
  const Setup setup;
  const std::string with_full = "sh -c 'exec \"$@\" 2>/dev/full' sh";
  const std::string with_closed = "sh -c 'exec \"$@\" 2>&-' sh";
  for (const std::string& shell : {with_full, with_closed}) {
    INFO(shell);
    CHECK(setup.run("train cfg.json train.epochs=1 run.name=r", shell).code == 0);
    CHECK(setup.run("train none.json", shell).code == 1);
    CHECK(setup.run("info runs/train/r/weights/best.safetensors", shell).code == 0);
  }
  for (const auto& entry : fs::recursive_directory_iterator(setup.dir / "runs")) {
    if (!entry.is_regular_file()) continue;
    INFO(entry.path());
    CHECK(test::read_file(entry.path()).find("data.train: 8 pictures") == std::string::npos);
  }
}

TEST_CASE("command: a wish about the CPU that no build knows is refused in one line") {
  const Setup setup;
  const auto [variable, text] = GENERATE(table<const char*, const char*>(
      {{"YDISTILL_CONVOLUTIONS=fast", "; this build knows own"},
       {"YDISTILL_CPU_LEVEL=avx1", "; it can be base, avx2 or avx512"},
       {"YDISTILL_BF16_PAIRS=yes", "; it can be on or off"},
       {"YDISTILL_AMX=yes", "; it can be off or emulated"},
       {"YDISTILL_INT8_DOTS=on", "; it can be off"}}));
  // Before anything is read.
  const Outcome o =
      setup.run("detect --weights none.safetensors --source val/images --out o", variable);
  check_refused(o, 1, text);
  CHECK(num_lines(o.err) == 1);
}

}  // namespace
}  // namespace ydistill
