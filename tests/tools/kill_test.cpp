// SPDX-License-Identifier: MIT
// A run killed at any moment goes on from its last checkpoint and ends with the same bits.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <thread>

#include <ydistill/tensor/io/safetensors.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;

struct Ended {
  bool killed = false;
  int code = -1;
};

/// Runs `ydistill ARGS` and sends SIGKILL after a while, unless it has ended; never: negative.
Ended run(const fs::path& folder, const std::vector<std::string>& args, double kill_after) {
  std::vector<const char*> words{YD_TOOL};
  for (const std::string& arg : args) words.push_back(arg.c_str());
  words.push_back(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(folder.c_str()) != 0 || freopen("err.txt", "w", stderr) == nullptr) _exit(99);
    execv(YD_TOOL, const_cast<char**>(words.data()));
    _exit(99);
  }
  const auto start = std::chrono::steady_clock::now();
  int status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    const auto passed = std::chrono::steady_clock::now() - start;
    if (kill_after >= 0 && passed > std::chrono::duration<double>(kill_after)) {
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  if (WIFSIGNALED(status)) return {true, -1};
  return {false, WIFEXITED(status) ? WEXITSTATUS(status) : -1};
}

bool same_bits(const fs::path& a, const fs::path& b) {
  const TensorFile x = read_safetensors(a), y = read_safetensors(b);
  if (x.tensors.size() != y.tensors.size()) return false;
  for (const auto& [name, tensor] : x.tensors) {
    const Tensor& other = y.at(name);
    if (tensor.nbytes() != other.nbytes() ||
        std::memcmp(tensor.raw(), other.raw(), size_t(tensor.nbytes())) != 0) {
      return false;
    }
  }
  return true;
}

TEST_CASE("command: killed fifty times at random moments, a run resumes each time to the same bits",
          "[slow]") {
  constexpr int kKills = 50;
  const test::TempDir dir;
  test::write_tiny_set(dir / "train", 16);
  test::write_tiny_set(dir / "val", 4, 2);
  test::write_file(dir / "graph.json", test::tiny_graph());
  // A checkpoint after every step: many of the kills meet one being written.
  test::write_file(dir / "cfg.json", R"({"model": {"graph": "graph.json"},
    "data": {"train": {"yolo": "train/images"}, "val": {"yolo": "val/images"}, "names": ["wide", "high"]},
    "train": {"epochs": 3, "batch": 2, "nominal_batch": 4, "image_size": 64, "workers": 1, "threads": 1,
              "save_steps": 1, "warmup_min_iterations": 5},
    "device": "cpu"})");
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(run(dir.path(), {"train", "cfg.json", "run.name=whole"}, -1).code == 0);
  const std::chrono::duration<double> duration = std::chrono::steady_clock::now() - start;
  const fs::path whole = dir / "runs/train/whole";

  Rng rng(2024);
  int kills = 0, resumes = 0, finished = 0;
  for (int attempt = 0; kills < kKills || resumes == 0; ++attempt) {
    REQUIRE(attempt < 20 * kKills);
    const std::string name = fmt::format("cut{}", finished);
    const fs::path folder = dir / "runs/train" / name;
    const bool has_checkpoint = fs::exists(folder / "weights/last.safetensors");
    std::vector<std::string> args{"train", "--resume", "runs/train/" + name};
    if (!has_checkpoint) {
      fs::remove_all(folder);
      args = {"train", "cfg.json", "run.name=" + name};
    }
    const Ended ended = run(dir.path(), args, rng.uniform(0.05, 1.1) * duration.count());
    INFO("attempt " << attempt << ": " << test::read_file(dir / "err.txt"));
    if (ended.killed) {
      ++kills;
      // Whatever was being written, what is there can be read.
      for (const char* file : {"last.safetensors", "best.safetensors"}) {
        const fs::path weights = folder / "weights" / file;
        if (fs::exists(weights)) REQUIRE_NOTHROW(read_safetensors(weights));
      }
      continue;
    }
    REQUIRE(ended.code == 0);
    resumes += has_checkpoint ? 1 : 0;
    ++finished;
    REQUIRE(same_bits(whole / "weights/last.safetensors", folder / "weights/last.safetensors"));
    REQUIRE(same_bits(whole / "weights/best.safetensors", folder / "weights/best.safetensors"));
    REQUIRE(test::read_file(whole / "results.csv") == test::read_file(folder / "results.csv"));
    for (const auto& entry : fs::directory_iterator(folder / "weights")) {
      CHECK_FALSE(entry.path().filename().string().starts_with("."));
    }
  }
  // The last of the cut runs is brought to its end too.
  const std::string name = fmt::format("cut{}", finished);
  const fs::path folder = dir / "runs/train" / name;
  if (fs::exists(folder / "weights/last.safetensors")) {
    REQUIRE(run(dir.path(), {"train", "--resume", "runs/train/" + name}, -1).code == 0);
    CHECK(same_bits(whole / "weights/last.safetensors", folder / "weights/last.safetensors"));
  }
  WARN(kills << " kills, " << finished << " runs brought to their end, " << resumes
             << " of them by resuming");
}

}  // namespace
}  // namespace ydistill
