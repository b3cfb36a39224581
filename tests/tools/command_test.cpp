// SPDX-License-Identifier: MIT
// The command as people type it: exit codes, what goes to which stream, wrong input.
#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "support/catch.h"
#include "support/files.h"
#include "tools/command_setup.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

TEST_CASE("command: help is there for every command and wrong usage exits with 2") {
  const test::TempDir dir;
  for (const char* command :
       {"", "train", "val", "check", "detect", "convert", "convert-data", "info", "compare",
        "report", "trace", "evolve", "config", "video", "export"}) {
    const Outcome o = run(dir.path(), std::string(command) + " --help");
    CHECK(o.code == 0);
    CHECK(o.out.find("Usage") != std::string::npos);
  }
  CHECK(run(dir.path(), "").code == 2);
  CHECK(run(dir.path(), "dance").code == 2);
  CHECK(run(dir.path(), "detect").code == 2);
  CHECK(run(dir.path(), "train").code == 2);
}

TEST_CASE("command: train then val then detect on their own files") {
  const Setup setup;
  const Outcome trained = setup.run("train cfg.json train.epochs=1");
  INFO(trained.err);
  REQUIRE(trained.code == 0);
  CHECK(trained.out.empty());
  const std::string weights = "runs/train/exp/weights/best.safetensors";
  const Outcome val = setup.run("val cfg.json model.weights=" + weights + " --json");
  REQUIRE(val.code == 0);
  const auto metrics = nlohmann::json::parse(val.out).at("metrics");
  for (const char* key : {"precision", "recall", "map50", "map"})
    CHECK(metrics.at(key).is_number());
  for (const char* key :
       {"class", "name", "images", "instances", "precision", "recall", "map50", "map"}) {
    CHECK(metrics.at("per_class").at(0).contains(key));
  }
  const Outcome found =
      setup.run("detect --weights " + weights +
                " --source 'val/images/*.png' --out found --size 64 --conf 0.0001 --json");
  INFO(found.err);
  REQUIRE(found.code == 0);
  const auto images = nlohmann::json::parse(found.out).at("images");
  REQUIRE(images.size() == 4);
  CHECK(images[0].at("width") == 64);
  CHECK(images[0].at("detections").at(0).at("box_xyxy").size() == 4);
  CHECK(fs::exists(setup.dir / "found" / "p000.jpg"));
  CHECK(fs::exists(setup.dir / "found" / "p000.txt"));
  CHECK(nlohmann::json::parse(test::read_file(setup.dir / "found" / "detections.json")) ==
        nlohmann::json::parse(found.out));
}

TEST_CASE("command: info and convert") {
  const Setup setup;
  const Outcome info = setup.run("info tiny.safetensors --json");
  REQUIRE(info.code == 0);
  CHECK(nlohmann::json::parse(info.out).at("num_classes") == 2);
  CHECK(setup.run("info tiny.safetensors").out.find("SPPF") != std::string::npos);
  CHECK(setup.run("convert tiny.safetensors copy.safetensors").code == 0);
  CHECK(test::read_file(setup.dir / "copy.safetensors") ==
        test::read_file(setup.dir / "tiny.safetensors"));
  check_refused(setup.run("convert tiny.safetensors copy.pt"), 2, "must end in .safetensors");
}

TEST_CASE("command: export writes ONNX files and refuses what it cannot write") {
  const Setup setup;
  const Outcome o = setup.run("export tiny.safetensors tiny.onnx --size 64 96");
  CHECK(o.code == 0);
  CHECK(o.err.find("batch 1, 96x64; gives boxes") != std::string::npos);
  const std::string file = test::read_file(setup.dir / "tiny.onnx");
  CHECK(file.find("output0") != std::string::npos);
  CHECK(setup.run("export tiny.safetensors tiny.onnx --output detections --dynamic --bytes --half")
            .code == 0);
  CHECK(test::read_file(setup.dir / "tiny.onnx").find("NonMaxSuppression") != std::string::npos);
  const std::string kept = test::read_file(setup.dir / "tiny.onnx");

  const std::string to = "export tiny.safetensors tiny.onnx ";
  check_refused(setup.run("export tiny.safetensors tiny.engine"), 2, "must end in .onnx");
  check_refused(setup.run("export none.pt tiny.onnx"), 1, "none.pt: no such file");
  check_refused(setup.run("export cfg.json tiny.onnx"), 1, "cfg.json: ");
  check_refused(setup.run(to + "--size 60"), 2, "--size: must be multiples of 16, got 60");
  check_refused(setup.run(to + "--size 64 0"), 2, "--size: must be multiples of 16, got 0");
  check_refused(setup.run(to + "--size 1 2 3"), 2, "--size");
  check_refused(setup.run(to + "--size 1600000"), 2, "--size: must be at most 16384");
  check_refused(setup.run(to + "--batch 0"), 2, "--batch");
  check_refused(setup.run(to + "--dynamic --size 64"), 2, "--size excludes --dynamic");
  check_refused(setup.run(to + "--output masks"), 2, "masks not in {boxes,detections,logits}");
  check_refused(setup.run(to + "--conf 0.5"), 2, "--conf is only for --output detections");
  check_refused(setup.run(to + "--output detections --iou 3"), 2, "expected a number from 0 to 1");
  check_refused(setup.run("export tiny.safetensors none/tiny.onnx"), 1, "none");
  check_refused(setup.run("convert tiny.safetensors a.onnx"), 2, "`ydistill export` writes .onnx");
  std::filesystem::copy_file(setup.dir / "tiny.safetensors", setup.dir / "weights.onnx");
  std::filesystem::create_symlink("weights.onnx", setup.dir / "link.onnx");
  for (const char* out : {"weights.onnx", "./weights.onnx", "link.onnx"}) {
    check_refused(setup.run(std::string("export weights.onnx ") + out), 2, "is the input file");
  }
  CHECK(test::read_file(setup.dir / "weights.onnx") ==
        test::read_file(setup.dir / "tiny.safetensors"));
  CHECK(test::read_file(setup.dir / "tiny.onnx") == kept);
}

TEST_CASE("command: export --dynamic takes a network whose stride does not divide 640") {
  const Setup setup;
  Model model(graph_from_json(
      R"({"nc": 2, "anchors": [[10,13]], "backbone": [[-1, 1, "Conv", [8, 3, 3]]],
          "head": [[0, 1, "Detect", ["nc", "anchors"]]]})"));
  model.initialise(1);
  save_checkpoint(setup.dir / "thirds.safetensors",
                  {model.spec(), {"wide", "high"}, export_weights(model), {}, ""});
  CHECK(setup.run("export thirds.safetensors thirds.onnx --dynamic").code == 0);
  check_refused(setup.run("export thirds.safetensors thirds.onnx"), 2,
                "--size: must be multiples of 3, got 640");
}

TEST_CASE("command: info --memory predicts a training and inference and refuses what is neither") {
  const Setup setup;
  const Outcome training = setup.run("info --memory cfg.json train.memory_mib=2 --json");
  REQUIRE(training.code == 0);
  const auto plan = nlohmann::json::parse(training.out);
  CHECK(plan.at("step_bytes") > 0);
  CHECK(plan.at("total_bytes") > plan.at("step_bytes"));
  CHECK(plan.at("fitting_batch") >= 1);
  CHECK(plan.at("validation_bytes") > 0);
  CHECK(plan.at("fitting_val_batch") >= 1);
  CHECK(setup.run("info --memory cfg.json --budget 1").out.find("not even a single picture fits") !=
        std::string::npos);
  const Outcome inference =
      setup.run("info --memory --weights tiny.safetensors --size 64 --batch 2");
  REQUIRE(inference.code == 0);
  CHECK(inference.out.find("predicted peak") != std::string::npos);
  check_refused(setup.run("info --memory"), 2, "name a checkpoint");
  check_refused(setup.run("info tiny.safetensors --size 64"), 2, "--memory");
  check_refused(setup.run("info --memory --weights tiny.safetensors --size 65"), 2,
                "--size must be a multiple of 16, got 65");
}

TEST_CASE("command: each kind of bad input gets one clear line") {
  const Setup setup;
  check_refused(setup.run("train none.json"), 1, "none.json");
  check_refused(setup.run("train cfg.json train.epoch=3"), 2, "did you mean train.epochs?");
  // Whatever the machine has, it has no hundredth GPU.
  check_refused(setup.run("train cfg.json device=cuda:99"), 2, "device: ");
  check_refused(setup.run("train cfg.json device=cpu precision=tf32"), 2, "on this CPU use");
  check_refused(setup.run("train cfg.json model.weights=none.pt"), 1, "none.pt: no such file");
  check_refused(setup.run("train cfg.json 'teacher={\"weights\":\"none.pt\"}'"), 1,
                "none.pt: no such file");
  check_refused(setup.run("val cfg.json"), 2, "model.weights: val needs the weights");
  check_refused(setup.run("val cfg.json model.weights=tiny.safetensors 'data.names=[\"a\"]'"), 2,
                "its head knows 2 classes, the data has 1");
  check_refused(setup.run("detect --weights tiny.safetensors --source nothing --out o"), 1,
                "nothing: no such picture");
  check_refused(setup.run("detect --weights cfg.json --source train/images --out o"), 1,
                "cfg.json");
  check_refused(setup.run("info graph.json"), 1, "graph.json");
  check_refused(setup.run("train --resume val"), 1, "not the folder of a run");
  CHECK_FALSE(fs::exists(setup.dir / "runs"));
}

TEST_CASE("command: an empty value is refused by the name of its option, whatever the command") {
  const Setup setup;
  for (const char* args :
       {"detect --weights tiny.safetensors --source val/images --out ''",
        "evolve cfg.json --out ''", "convert-data train/images --to coco --out ''",
        "trace --student tiny.safetensors --batch b --case c --out ''"}) {
    INFO(args);
    check_refused(setup.run(args), 2, "--out: expected a value, got an empty one; see ydistill ");
  }
  check_refused(setup.run("detect --weights '' --source val/images --out o"), 2,
                "--weights: expected a value");
  check_refused(setup.run("compare runs --page ''"), 2, "--page: expected a value");
  check_refused(setup.run("convert tiny.safetensors ''"), 2, "out: expected a value");
  check_refused(setup.run("train ''"), 2, "config: expected a value");
  check_refused(setup.run("train --resume ''"), 2, "--resume: expected a value");
  check_refused(setup.run("report ''"), 2, "run: expected a value");
  check_refused(setup.run("convert-data train/images --split '' --to voc --out z"), 2,
                "--split: expected a value");
  check_refused(setup.run("train cfg.json run.dir="), 2, "run.dir: expected a path, got \"\"");
}

TEST_CASE("command: what cannot be written to is told before any data is read") {
  const Setup setup;
  test::write_file(setup.dir / "file", "");
  // Other data that would take its time: each line of it would be a finding.
  test::write_file(setup.dir / "val/labels/p001.txt", "7 0.5 0.5 0.2 0.2\n");
  check_refused(setup.run("train cfg.json run.dir=file/runs"), 1,
                "file/runs: cannot be written to: ");
  check_refused(setup.run("train cfg.json run.dir=file"), 1, "file: cannot be written to: Not a d");
  check_refused(setup.run("detect --weights none.pt --source val/images --out file/o"), 1,
                "file/o: cannot be written to: ");
  check_refused(setup.run("convert-data val/images --to coco --out file/o"), 1,
                "file/o: cannot be written to: ");
  CHECK(fs::is_empty(setup.dir / "file"));
}

TEST_CASE(
    "command: a report.json that is broken is told with line and column, not as an exception") {
  const Setup setup;
  fs::create_directories(setup.dir / "folder.json");
  test::write_file(setup.dir / "run/report.json", "{\"format\": 1,\n  }");
  const Outcome o = setup.run("report run");
  check_refused(o, 1, "run/report.json: not the report of a run: line 2, column 3: syntax error");
  CHECK(o.err.find("json.exception") == std::string::npos);
  check_refused(setup.run("train cfg.json model.graph=folder.json"), 1,
                "folder.json: expected a file, found a folder");
  test::write_file(setup.dir / "graph.json", "{\"nc\": 2,\n\"anchors\": [,]}");
  check_refused(setup.run("train cfg.json"), 2,
                "graph.json: graph: malformed JSON: line 2, column ");
  test::write_file(setup.dir / "coco.json", "{\"images\": [}");
  check_refused(setup.run("convert-data coco.json --to yolo --out z"), 1,
                "coco.json: malformed JSON: line 1, column 13: syntax error");
  check_refused(setup.run("check cfg.json 'data.val={\"coco\": \"coco.json\", \"images\": \".\"}'"),
                2, "coco.json: malformed JSON: line 1, column 13: syntax error");
}

TEST_CASE("command: a picture cut in half is reported and the others are done") {
  const Setup setup;
  const std::string whole = test::read_file(setup.dir / "val/images/p000.png");
  test::write_file(setup.dir / "mixed/a.png", whole);
  test::write_file(setup.dir / "mixed/b.png", whole.substr(0, whole.size() / 2));
  const Outcome o =
      setup.run("detect --weights tiny.safetensors --source mixed --out o --size 64 --json");
  CHECK(o.code == 0);
  CHECK(o.err.find("b.png") != std::string::npos);
  CHECK(nlohmann::json::parse(o.out).at("images").size() == 1);
  fs::remove(setup.dir / "mixed/a.png");
  CHECK(setup.run("detect --weights tiny.safetensors --source mixed --out o --size 64").code == 1);
}

TEST_CASE("command: a class id out of range is listed with file and line") {
  const Setup setup;
  test::write_file(setup.dir / "train/labels/p001.txt", "7 0.5 0.5 0.2 0.2\n");
  const Outcome o = setup.run("train cfg.json train.epochs=1");
  CHECK(o.code == 0);
  CHECK(o.err.find("p001.txt:1: ") != std::string::npos);
}

TEST_CASE("command: a disk that fills up while saving leaves the old file whole") {
  const Setup setup;
  test::write_file(setup.dir / "old.safetensors", "precious");
  // A file size limit stands for the full disk: both fail in write().
  const Outcome o =
      setup.run("convert tiny.safetensors old.safetensors", "trap '' XFSZ; ulimit -f 8;");
  check_refused(o, 1, "old.safetensors");
  CHECK(test::read_file(setup.dir / "old.safetensors") == "precious");
  CHECK(std::distance(fs::directory_iterator(setup.dir.path()), fs::directory_iterator()) <= 9);
}

std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(nlohmann::json::parse(line));
  return lines;
}

TEST_CASE("command: train --json prints one event a line and nothing else") {
  const Setup setup;
  const Outcome o = setup.run("train cfg.json --json");
  INFO(o.err);
  REQUIRE(o.code == 0);
  CHECK(o.err.empty());
  int64_t steps = 0, epochs = 0;
  const auto lines = json_lines(o.out);
  for (const auto& line : lines) {
    if (line.at("event") == "step") {
      ++steps;
      CHECK(line.at("batches") == 2);
    }
    if (line.at("event") != "epoch") continue;
    CHECK(line.at("epoch") == epochs++);
    CHECK(line.at("metrics/mAP_0.5:0.95").is_number());
  }
  CHECK(epochs == 2);
  CHECK(steps >= 2);  // the last of each epoch at least
  CHECK(lines.back().at("event") == "done");
  CHECK(lines.back().at("finished") == true);
  CHECK(fs::exists(setup.dir / lines.back().at("best").get<std::string>()));
  CHECK(std::any_of(lines.begin(), lines.end(), [](const auto& line) {
    return line.at("event") == "run" && line.at("epochs") == 2;
  }));
}

TEST_CASE("command: train --json tells a failure as an event and by the exit code") {
  const Setup setup;
  const Outcome o = setup.run("train cfg.json --json train.epoch=3");
  CHECK(o.code == 2);
  const auto lines = json_lines(o.out);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0].at("event") == "error");
  CHECK(lines[0].at("text").get<std::string>().find("train.epoch") != std::string::npos);
  CHECK(num_lines(o.err) == 1);
}

TEST_CASE("command: train --json tells of an option that does not exist as an event too") {
  const Setup setup;
  for (const char* args : {"train --json cfg.json --epochs 3", "train cfg.json --epochs --json",
                           "train --json --quiet cfg.json", "train cfg.json --json --resume"}) {
    INFO(args);
    const Outcome o = setup.run(args);
    CHECK(o.code == 2);
    CHECK(num_lines(o.err) == 1);
    const auto lines = json_lines(o.out);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].at("event") == "error");
    CHECK(o.err == "ydistill: " + lines[0].at("text").get<std::string>() + "\n");
  }
  CHECK(setup.run("train cfg.json --epochs 3").out.empty());
  CHECK(setup.run("check cfg.json --json --epochs 3").out.empty());  // it prints no events
  CHECK(setup.run("train --json --help").out.find("Usage") != std::string::npos);
}

TEST_CASE("command: wrong usage is told in one line that says where to read on") {
  const Setup setup;
  for (const auto& [args, text] :
       {std::pair{"", "; see ydistill --help"},
        {"dance", "; see ydistill --help"},
        {"train cfg.json --epochs 3",
         "train has no option --epochs (a config's keys are given as key.path=value); see ydistill "
         "train"},
        {"detect --source a --out o", "--weights is required; see ydistill detect --help"},
        {"convert-data a --to avi --out o", "avi not in {yolo,voc,coco}; see ydistill convert"}}) {
    const Outcome o = setup.run(args);
    check_refused(o, 2, text);
    CHECK(o.err.find("ydistill: ") == 0);
  }
}

TEST_CASE("command: train --json tells of a config that is missing or broken as an event too") {
  const Setup setup;
  test::write_file(setup.dir / "broken.json", "{\"model\": ");
  for (const char* args : {"train --json", "train --json broken.json", "train --json none.json",
                           "train --json --resume none", "train --json cfg.json --resume none"}) {
    INFO(args);
    const Outcome o = setup.run(args);
    CHECK(o.code != 0);
    CHECK(num_lines(o.err) == 1);
    const auto lines = json_lines(o.out);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].at("event") == "error");
    CHECK(lines[0].at("text").is_string());
  }
}

TEST_CASE("command: what cannot be printed is an error whatever the command") {
  const Setup setup;
  for (const char* args : {"check cfg.json", "check cfg.json --json", "config", "config --schema",
                           "info tiny.safetensors", "--help", "train --help", "--version",
                           "train cfg.json train.epochs=1 --json"}) {
    INFO(args);
    const Outcome o = setup.run(std::string(args) + " >/dev/full 2>err2.txt; (exit $?)");
    const std::string err = test::read_file(setup.dir / "err2.txt");
    INFO(err);
    CHECK(o.code == 1);
    CHECK(num_lines(err) == 1);
    CHECK(err.find("ydistill: standard output: cannot be written") == 0);
  }
}

TEST_CASE("command: train --quiet prints nothing and plain lines go to a pipe") {
  const Setup setup;
  const Outcome quiet = setup.run("train cfg.json train.epochs=1 --quiet");
  CHECK(quiet.code == 0);
  CHECK((quiet.out + quiet.err).empty());
  const Outcome plain = setup.run("train cfg.json train.epochs=1");
  CHECK(plain.err.find('\r') == std::string::npos);
  CHECK(plain.err.find('\033') == std::string::npos);
  CHECK(plain.err.find("1/1") != std::string::npos);
}

TEST_CASE("command: compare groups runs by seed and report writes the page again") {
  const Setup setup;
  for (const char* args : {"run.name=a train.seed=0", "run.name=b train.seed=1",
                           "run.name=c train.seed=0 train.lr0=0.02"}) {
    REQUIRE(setup.run(std::string("train cfg.json train.epochs=1 ") + args).code == 0);
  }
  const Outcome o =
      setup.run("compare runs/train/a runs/train/b/ runs/train/c --json --page all.html");
  INFO(o.err);
  REQUIRE(o.code == 0);
  const auto j = nlohmann::json::parse(o.out);
  REQUIRE(j.at("groups").size() == 2);
  CHECK(j.at("groups")[0].at("runs") == std::vector<int>{0, 1});
  CHECK(j.at("groups")[1].at("differs") == std::vector<std::string>{"train.lr0=0.02"});
  CHECK(j.at("runs")[1].at("name") == "b");
  CHECK(fs::file_size(setup.dir / "all.html") > 1000);
  CHECK(setup.run("compare runs/train/a").out.find("mAP50-95") != std::string::npos);

  const std::string page = test::read_file(setup.dir / "runs/train/a/report.html");
  fs::remove(setup.dir / "runs/train/a/report.html");
  REQUIRE(setup.run("report runs/train/a").code == 0);
  CHECK(test::read_file(setup.dir / "runs/train/a/report.html") == page);

  test::write_file(setup.dir / "runs/train/b/report.json", "{");
  test::write_file(setup.dir / "runs/train/c/results.csv", "{");
  const Outcome rest = setup.run("compare runs/train/a runs/train/b runs/train/c");
  CHECK(rest.code == 0);
  CHECK(rest.err.find("runs/train/b/report.json: ") != std::string::npos);
  CHECK(rest.err.find("runs/train/c is left out") != std::string::npos);
  CHECK(rest.out.find("n=2") != std::string::npos);
  check_refused(setup.run("compare runs/train/c"), 1, "none of the 1 runs can be read");
  check_refused(setup.run("compare runs/train/a val"), 1, "val: not the folder of a run");
  check_refused(setup.run("compare runs/train/a none"), 1, "none: no such folder");
  check_refused(setup.run("report val"), 1, "val/report.json: no such file");
}

TEST_CASE(
    "command: check looks at unlabelled pictures too, and finds those of validation in them") {
  const Setup setup;
  fs::create_directories(setup.dir / "more");
  fs::copy_file(setup.dir / "train/images/p001.png", setup.dir / "more/a.png");
  const std::string args =
      "check cfg.json --json teacher.weights=tiny.safetensors data.unlabeled.pictures=";
  const Outcome clean = setup.run(args + "more");
  INFO(clean.err << clean.out);
  CHECK(clean.code == 0);
  CHECK(nlohmann::json::parse(clean.out).at("sets").at("unlabeled").at("unlabelled") == 1);
  fs::copy_file(setup.dir / "val/images/p002.png", setup.dir / "more/b.png");
  const Outcome leaking = setup.run(args + "more");
  CHECK(leaking.code == 1);
  const auto findings = nlohmann::json::parse(leaking.out).at("findings");
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].at("set") == "unlabeled");
}

TEST_CASE("command: compare leaves out files beside the runs, such as its own page") {
  const Setup setup;
  for (const char* seed : {"0", "1"}) {
    REQUIRE(setup.run(std::string("train cfg.json train.epochs=1 run.dir=runs train.seed=") + seed)
                .code == 0);
  }
  REQUIRE(setup.run("compare runs/exp runs/exp2").code == 0);
  const Outcome o = setup.run("compare runs/exp runs/exp2 compare.html cfg.json");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(o.err.find("compare.html: a file, no run; it is left out") != std::string::npos);
}

TEST_CASE("command: a run is resumed by its checkpoint's path, too") {
  const Setup setup;
  REQUIRE(setup.run("train cfg.json train.epochs=2 run.dir=runs").code == 0);
  fs::remove(setup.dir / "runs/exp/weights/best.safetensors");
  for (const char* path : {"runs/exp", "runs/exp/weights/last.safetensors"}) {
    const Outcome done = setup.run(std::string("train --resume ") + path);
    INFO(done.err);
    CHECK(done.code == 0);
    CHECK(done.err.find("runs/exp is already finished") != std::string::npos);
    CHECK(done.err.find("best.safetensors, which is missing: it was removed") != std::string::npos);
  }
  const Outcome inside = setup.run("train --resume last.safetensors", "cd runs/exp/weights &&");
  INFO(inside.err);
  CHECK(inside.code == 0);
}

TEST_CASE("command: val with a single class takes a network of several") {
  const Setup setup;
  const Outcome o =
      setup.run("val cfg.json model.weights=tiny.safetensors train.single_class=true --json");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(o.err.find("its 2 classes are measured as the data's 1: object") != std::string::npos);
}

TEST_CASE("command: val keeps to train.memory_mib") {
  const Setup setup;
  const Outcome o = setup.run(
      "val cfg.json model.weights=tiny.safetensors val.image_size=512 train.memory_mib=1");
  CHECK(o.code == 1);
  CHECK(o.err.find("the limit is 1.0 MiB") != std::string::npos);
}

TEST_CASE("command: detect goes on after a picture that is too wide for a JPEG") {
  const Setup setup;
  fs::create_directories(setup.dir / "wide");
  write_png(setup.dir / "wide/a.png", Image::filled(65501, 10, 90));
  fs::copy_file(setup.dir / "val/images/p000.png", setup.dir / "wide/b.png");
  const Outcome o = setup.run("detect --weights tiny.safetensors --size 64 --source wide --out o");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(o.err.find("a.png: no annotated picture is written, a JPEG holds 65500 pixels a side") !=
        std::string::npos);
  CHECK(fs::exists(setup.dir / "o/a.txt"));
  CHECK_FALSE(fs::exists(setup.dir / "o/a.jpg"));
  CHECK(fs::exists(setup.dir / "o/b.jpg"));
}

TEST_CASE("command: detect takes pictures with names of 250 bytes") {
  const Setup setup;
  const std::string name(246, 'n');
  fs::create_directories(setup.dir / "long");
  fs::copy_file(setup.dir / "val/images/p000.png", setup.dir / "long" / (name + ".png"));
  const Outcome o = setup.run("detect --weights tiny.safetensors --size 64 --source long --out o");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(fs::exists(setup.dir / "o" / (name + ".txt")));
}

TEST_CASE("command: check lists findings in text and JSON and says so by its exit code") {
  Setup setup;
  const Outcome clean = setup.run("check cfg.json");
  INFO(clean.out << clean.err);
  CHECK(clean.code == 0);
  CHECK(clean.out.find("nothing found\n") != std::string::npos);
  CHECK(clean.out.find("train: 8 pictures, 8 labels, 2 classes") != std::string::npos);

  test::write_file(setup.dir / "train/labels/p000.txt", "0 0.5 0.5 0.2 0.2\n7 0.5 0.5 0.1 0.1\n");
  fs::copy_file(setup.dir / "train/images/p001.png", setup.dir / "val/images/p001.png",
                fs::copy_options::overwrite_existing);
  const Outcome text = setup.run("check cfg.json");
  INFO(text.out);
  CHECK(text.code == 1);
  CHECK(text.out.find("train/labels/p000.txt:2: class 7 is out of range, expected 0 to 1 "
                      "(label dropped)\n") != std::string::npos);
  CHECK(text.out.find("2 findings\n") != std::string::npos);

  const Outcome json = setup.run("check cfg.json --json --quick");
  CHECK(json.code == 1);
  const auto report = nlohmann::json::parse(json.out);
  CHECK(report["ok"] == false);
  REQUIRE(report["findings"].size() == 2);
  CHECK(report["findings"][0]["set"] == "train");
  CHECK(report["findings"][0]["line"] == 2);
  CHECK(report["findings"][1]["set"] == "train and val");
  CHECK(report["sets"]["train"]["classes"][0]["name"] == "wide");
  CHECK(report["sets"]["val"]["pictures"] == 4);

  check_refused(setup.run("check none.json"), 2, "none.json: no such file");
  check_refused(setup.run("check cfg.json data.val.yolo=nowhere"), 2, "nowhere: no such file");
}

TEST_CASE("command: a data.yaml is all that train val and check need to be told") {
  Setup setup;
  test::write_file(setup.dir / "set.yaml",
                   "train: train/images\nval: val/images\nnames: [wide, high]\n");
  test::write_file(setup.dir / "cfg.json", R"({"model": {"graph": "graph.json"},
    "data": {"yaml": "set.yaml"}, "device": "cpu",
    "train": {"epochs": 1, "batch": 4, "image_size": 64, "workers": 1}})");
  CHECK(setup.run("check cfg.json").code == 0);
  const Outcome trained = setup.run("train cfg.json");
  INFO(trained.err);
  CHECK(trained.code == 0);
  const Outcome measured = setup.run("val cfg.json model.weights=tiny.safetensors");
  INFO(measured.err);
  CHECK(measured.code == 0);
  CHECK(measured.out.find("wide") != std::string::npos);
}

TEST_CASE("command: convert-data goes round through all formats and never overwrites") {
  Setup setup;
  test::write_file(setup.dir / "set.yaml",
                   "train: train/images\nval: val/images\nnames: [wide, high]\n");
  const auto done = [&](const std::string& args) {
    const Outcome o = setup.run("convert-data " + args);
    INFO(args << ": " << o.err);
    CHECK(o.code == 0);
    CHECK(o.out.empty());
  };
  done("set.yaml --to coco --out c --pictures symlink");
  done(
      "c/annotations/instances_train.json c/annotations/instances_val.json --images c/images/train "
      "c/images/val --split train val --to voc --out v --pictures hardlink");
  done("v --split train val --names wide high --to yolo --out y");
  CHECK(
      setup.run("check cfg.json data.train.yolo=y/images/train data.val.yolo=y/images/val").code ==
      0);
  const auto numbers = [&](const std::string& file) {
    std::istringstream text(test::read_file(setup.dir / file));
    return std::vector<double>{std::istream_iterator<double>(text), {}};
  };
  for (int i = 0; i < 8; ++i) {
    const std::string name = fmt::format("p{:03}.txt", i);
    const auto before = numbers("train/labels/" + name), after = numbers("y/labels/train/" + name);
    REQUIRE(after.size() == before.size());
    for (size_t k = 0; k < after.size(); ++k) CHECK(after[k] == Approx(before[k]).margin(0.5 / 64));
  }
  const std::string kept = test::read_file(setup.dir / "y/data.yaml");
  check_refused(setup.run("convert-data set.yaml --to yolo --out y"), 1, "y: already exists");
  CHECK(test::read_file(setup.dir / "y/data.yaml") == kept);
  check_refused(setup.run("convert-data v --to yolo --out z"), 2, "--split: missing; voc needs");
  check_refused(setup.run("convert-data c/annotations/instances_val.json --to yolo --out z"), 2,
                "--images: expected one folder");
  check_refused(setup.run("convert-data none.yaml --to yolo --out z"), 1,
                "none.yaml: no such file");
  check_refused(setup.run("convert-data cfg.json --to yolo --out z"), 2,
                "cfg.json: not a COCO file: it has no list \"images\"; give what this config's");
  check_refused(setup.run("convert-data train/images --split names --to yolo --out z"), 2,
                "split \"names\": data.yaml has a key of that name");
  for (const auto& [split, text] :
       {std::pair{"null", "split \"null\": YAML and JSON read that as a"},
        {"a/b", "split \"a/b\", letters, digits"}}) {
    const Outcome o =
        setup.run("convert-data train/images --split " + std::string(split) + " --to voc --out z");
    check_refused(o, 2, text);
  }
  const Outcome twice =
      setup.run("convert-data train/images val/images --split a a --to voc --out z");
  check_refused(twice, 2, "split \"a\" is given twice");
  CHECK(!fs::exists(setup.dir / "z"));
}

TEST_CASE("command: convert-data tells how a config names what it wrote") {
  const Setup setup;
  const Outcome o = setup.run("convert-data train/images val/images --split a b --to yolo --out y");
  INFO(o.err);
  REQUIRE(o.code == 0);
  const std::string hint = o.err.substr(o.err.find("in a config: ") + 13);
  auto config = nlohmann::json::parse("{" + hint + "}");
  config["model"]["graph"] = "graph.json";
  config["device"] = "cpu";
  test::write_file(setup.dir / "own.json", config.dump());
  const Outcome checked = setup.run("check own.json --json");
  CHECK(checked.code == 0);
  const auto sets = nlohmann::json::parse(checked.out).at("sets");
  CHECK(sets.at("train").at("pictures") == 8);
  CHECK(sets.at("val").at("pictures") == 4);
}

#ifdef __GLIBC__
TEST_CASE("command: OpenMP's threads wait briefly, unless the environment says how they wait") {
  const Setup setup;
  // What the OpenMP of GCC says when it is loaded.
  const auto waits = [&](const std::string& environment, const std::string& threads = "2") {
    const std::string shell =
        "env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT OMP_DISPLAY_ENV=verbose OMP_NUM_THREADS=" +
        threads + " " + environment;
    const Outcome o = setup.run(
        "detect --weights tiny.safetensors --source val/images --out o --size 64 --json", shell);
    INFO(o.err);
    CHECK(o.code == 0);
    CHECK(o.out.find("\"images\"") != std::string::npos);
    return o.err;
  };
  const auto count = [](const std::string& text, const std::string& part) {
    int64_t n = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
    return n;
  };
  const std::string own = waits("");
  if (count(own, "GOMP_SPINCOUNT") == 0) YD_SKIP("another OpenMP than GCC's");
  CHECK(count(own, "GOMP_SPINCOUNT = ") == 2);  // once a start
  CHECK(count(own, "GOMP_SPINCOUNT = '3000'") == 1);
  CHECK(count(waits("GOMP_SPINCOUNT=77"), "GOMP_SPINCOUNT = '77'") == 1);
  CHECK(count(waits("OMP_WAIT_POLICY=passive"), "GOMP_SPINCOUNT = '0'") == 1);
  CHECK(count(waits("", "1"), "GOMP_SPINCOUNT = ") == 1);
}
#endif

}  // namespace
}  // namespace ydistill
