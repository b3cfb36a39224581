// SPDX-License-Identifier: MIT
// The command in a folder with a tiny data set, a config and weights.
#pragma once

#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <string>

#include <fmt/format.h>

#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "support/files.h"
#include "train/tiny_data.h"

namespace ydistill::test {

struct Outcome {
  int code;
  std::string out, err;
};

/// Runs `ydistill ARGS` by a shell, in a folder.
inline Outcome run(const std::filesystem::path& folder, const std::string& args,
                   const std::string& before = "") {
  const std::string command = fmt::format("cd '{}' && {} '{}' {} >out.txt 2>err.txt",
                                          folder.string(), before, YD_TOOL, args);
  const int status = std::system(command.c_str());
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_file(folder / "out.txt"),
          read_file(folder / "err.txt")};
}

inline int64_t num_lines(const std::string& text) {
  return std::count(text.begin(), text.end(), '\n');
}

struct Setup {
  TempDir dir;
  Setup() {
    write_tiny_set(dir / "train", 8);
    write_tiny_set(dir / "val", 4, 2);
    write_file(dir / "graph.json", tiny_graph());
    write_file(dir / "cfg.json", R"({"model": {"graph": "graph.json"},
      "data": {"train": {"yolo": "train/images"}, "val": {"yolo": "val/images"}, "names": ["wide", "high"]},
      "train": {"epochs": 2, "batch": 4, "image_size": 64, "workers": 1}, "device": "cpu"})");
    Model model(graph_from_json(tiny_graph()));
    model.initialise(1);
    save_checkpoint(dir / "tiny.safetensors",
                    {model.spec(), {"wide", "high"}, export_weights(model), {}, ""});
  }
  Outcome run(const std::string& args, const std::string& before = "") const {
    return test::run(dir.path(), args, before);
  }
};

/// The run failed with exit code `code`, and all it said is one line that contains the text.
inline void check_refused(const Outcome& o, int code, const std::string& text) {
  INFO("stderr: " << o.err);
  CHECK(o.code == code);
  CHECK(num_lines(o.err) == 1);
  CHECK(o.err.find(text) != std::string::npos);
  CHECK(o.out.empty());
}

}  // namespace ydistill::test
