// SPDX-License-Identifier: MIT
// `ydistill train` started by a launcher of MPI.
#include <filesystem>
#include <string>

#include "tools/command_setup.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

#ifdef YD_TEST_MPIEXEC

/// Two processes; `limit`: seconds, after which they are taken to wait for each other.
Outcome run_two(const Setup& setup, const std::string& args, int limit = 100) {
  return setup.run(args, fmt::format("timeout {} {} 2", limit, YD_TEST_MPIEXEC));
}

/// Lines of our own: the launcher has its own about exit codes.
int64_t count(const std::string& text, const std::string& part) {
  int64_t n = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

TEST_CASE("command: a training in two processes is one run, told once, and is resumed") {
  const Setup setup;
  const Outcome o = run_two(setup, "train cfg.json");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(o.out.empty());
  CHECK(count(o.err, "processes: 2 on ") == 1);
  CHECK(count(o.err, "data.train: ") + count(o.err, "data.val: ") == 2);  // train and val
  CHECK(count(o.err, "done: runs/train/exp/weights/best.safetensors") == 1);
  CHECK_FALSE(fs::exists(setup.dir / "runs/train/exp2"));
  const Outcome again = run_two(setup, "train --resume runs/train/exp");
  INFO(again.err);
  CHECK(again.code == 0);
  CHECK(count(again.err, "runs/train/exp is already finished") == 1);
}

TEST_CASE("command: the first process's arguments say whether a run is resumed") {
  const Setup setup;
  REQUIRE(setup.run("train cfg.json").code == 0);
  const Outcome o = setup.run(
      "train cfg.json", fmt::format("timeout 30 {} 1 '{}' train --resume runs/train/exp : -np 1",
                                    YD_TEST_MPIEXEC, YD_TOOL));
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(count(o.err, "runs/train/exp is already finished") == 1);
}

TEST_CASE("command: two processes tell programs of a run once") {
  const Setup setup;
  const Outcome o = run_two(setup, "train cfg.json --json");
  INFO(o.err);
  CHECK(o.code == 0);
  CHECK(count(o.out, "\"event\":\"epoch\"") == 2);
  CHECK(count(o.out, "\"event\":\"done\"") == 1);
}

TEST_CASE("command: a validation in two processes prints the table of one, once") {
  const Setup setup;
  const std::string args = "val cfg.json model.weights=tiny.safetensors val.batch=1";
  const Outcome alone = setup.run(args), both = run_two(setup, args);
  INFO(both.err);
  CHECK(alone.code == 0);
  CHECK(both.code == 0);
  CHECK(both.out == alone.out);
  CHECK(count(both.err, "4 pictures in ") == 1);
  const Outcome one_file = setup.run(args + " --tta --coco-results one.json");
  const Outcome two_files = run_two(setup, args + " --tta --coco-results two.json");
  CHECK(one_file.code == 0);
  CHECK(two_files.code == 0);
  CHECK(two_files.out == one_file.out);
  CHECK(read_file(setup.dir / "two.json") == read_file(setup.dir / "one.json"));
  CHECK(count(run_two(setup, args + " --coco-results two.json").err, "already exists") == 1);
  CHECK(count(run_two(setup, "val cfg.json").err, "ydistill: model.weights: val needs") == 1);
}

TEST_CASE("command: what is wrong in two processes is said once, with its exit code") {
  const Setup setup;
  for (const auto& [args, code, text] :
       {std::tuple("train none.json", 1, "none.json"),
        std::tuple("train cfg.json train.epoch=2", 2, "train.epochs"),
        std::tuple("train cfg.json data.train.yolo=nowhere", 1, "nowhere"),
        std::tuple("train cfg.json train.batch=1", 2, "at least one for each"),
        std::tuple("train --resume nowhere", 1, "nowhere"),
        std::tuple("evolve cfg.json", 2, "evolve: runs in one process, started as 2")}) {
    const Outcome o = run_two(setup, args);
    INFO(args << ": " << o.err);
    CHECK(o.code == code);
    CHECK(count(o.err, "ydistill: ") == 1);
    CHECK(o.err.find(text) != std::string::npos);
    CHECK_FALSE(fs::exists(setup.dir / "runs"));
  }
}

TEST_CASE("command: processes that fail apart from each other do not wait for each other") {
  const Setup setup;
  for (const auto& entry : fs::directory_iterator(setup.dir / "train/images")) {
    std::string png = read_file(entry.path());
    for (size_t i = 60; i < 100; ++i) png[i] = '\0';  // the size can be read, the pixels cannot
    write_file(entry.path(), png);
  }
  const Outcome o = run_two(setup, "train cfg.json");
  INFO(o.err);
  CHECK(o.code == 1);
  CHECK(o.err.find("can be read any more") != std::string::npos);
  CHECK(o.err.find("ydistill: process ") != std::string::npos);
}

TEST_CASE("command: processes started by the launcher of another MPI refuse to train apart") {
  const Setup setup;
  // With sanitizers: what MPI leaks is not ours.
  check_refused(setup.run("train cfg.json", "ASAN_OPTIONS=detect_leaks=0 PMI_RANK=0 PMI_SIZE=2"), 2,
                "started as 2 processes that do not find each other");
  CHECK_FALSE(fs::exists(setup.dir / "runs"));
}

#else

TEST_CASE("command: a build without MPI refuses to train the same run several times at once") {
  const Setup setup;
  check_refused(setup.run("train cfg.json", "OMPI_COMM_WORLD_SIZE=2"), 2,
                "started as 2 processes, which need a build with MPI");
  CHECK(setup.run("train cfg.json", "OMPI_COMM_WORLD_SIZE=1").code == 0);
}

#endif

}  // namespace
}  // namespace ydistill
