// SPDX-License-Identifier: MIT
// Trainings that are told to stop, and those that must not be.
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <ydistill/tensor/io/safetensors.h>

#include "tools/command_setup.h"

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using namespace test;

/// The exit code of a training of four epochs that gets `signal` as soon as it has drawn its second
/// batch, wherever it then is; -1 where it ended otherwise than by exiting.
int train_and_signal(const Setup& setup, const std::string& run, int signal,
                     void (*handler)(int) = SIG_DFL) {
  const pid_t child = fork();
  if (child == 0) {
    ::signal(signal, handler);
    if (chdir(setup.dir.path().c_str()) != 0) _exit(99);
    if (freopen("err.txt", "w", stderr) == nullptr) _exit(99);
    execl(YD_TOOL, YD_TOOL, "train", "cfg.json", "train.epochs=4", ("run.name=" + run).c_str(),
          nullptr);
    _exit(99);
  }
  int status = 0;
  while (!fs::exists(setup.dir / ("runs/train/" + run + "/train_batch1.jpg"))) {
    if (waitpid(child, &status, WNOHANG) != 0) return -1;
    std::this_thread::yield();
  }
  kill(child, signal);
  if (waitpid(child, &status, 0) != child) return -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST_CASE(
    "command: SIGTERM, SIGINT and SIGHUP end a training with a checkpoint, and the resumed run has "
    "the same bits") {
  const Setup setup;
  REQUIRE(setup.run("train cfg.json train.epochs=4 run.name=whole").code == 0);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) {
    const std::string run = fmt::format("cut{}", signal);
    INFO(run);
    REQUIRE(train_and_signal(setup, run, signal) == 1);
    CHECK(test::read_file(setup.dir / "err.txt").find("run: stopped in epoch ") !=
          std::string::npos);
    const Outcome resumed = setup.run("train --resume runs/train/" + run);
    INFO(resumed.err);
    REQUIRE(resumed.code == 0);
    const TensorFile a = read_safetensors(setup.dir / "runs/train/whole/weights/last.safetensors");
    const TensorFile b =
        read_safetensors(setup.dir / ("runs/train/" + run + "/weights/last.safetensors"));
    REQUIRE(a.tensors.size() == b.tensors.size());
    for (const auto& [name, tensor] : a.tensors) {
      INFO(name);
      CHECK(std::memcmp(tensor.raw(), b.at(name).raw(), size_t(tensor.nbytes())) == 0);
    }
  }
}

/// A command that runs, and what it says on standard error, which comes through a pipe.
class Running {
 public:
  Running(const Setup& setup, std::vector<std::string> args) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    args.insert(args.begin(), YD_TOOL);
    std::vector<char*> words;
    for (std::string& arg : args) words.push_back(arg.data());
    words.push_back(nullptr);
    pid_ = fork();
    if (pid_ == 0) {
      // This program's parent may have ignored them.
      for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::signal(signal, SIG_DFL);
      if (chdir(setup.dir.path().c_str()) != 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(99);
      close(ends[0]);
      close(ends[1]);
      execv(YD_TOOL, words.data());
      _exit(99);
    }
    close(ends[1]);
    err_ = ends[0];
  }
  ~Running() {
    if (pid_ > 0) kill(pid_, SIGKILL);
    if (pid_ > 0) waitpid(pid_, nullptr, 0);
    close(err_);
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  /// Waits for the text; false: it ended without.
  bool says(const std::string& text) {
    while (said.find(text) == std::string::npos) {
      if (!read_on()) return false;
    }
    return true;
  }
  void send(int signal) const { kill(pid_, signal); }
  /// The exit code; -1 where it ended otherwise than by exiting.
  int wait() {
    while (read_on()) {
    }
    int status = 0;
    if (waitpid(std::exchange(pid_, -1), &status, 0) < 0) return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  std::string said;

 private:
  bool read_on() {
    char bytes[4096];
    const ssize_t count = read(err_, bytes, sizeof bytes);
    if (count > 0) said.append(bytes, size_t(count));
    return count > 0;
  }

  pid_t pid_ = -1;
  int err_ = -1;
};

TEST_CASE("command: a signal before the first batch is answered at once and leaves no run folder") {
  const Setup setup;
  const std::string config = test::read_file(setup.dir / "cfg.json");
  fs::remove(setup.dir / "cfg.json");
  REQUIRE(mkfifo((setup.dir / "cfg.json").c_str(), 0600) == 0);  // it waits for its config
  for (const int signal : {SIGINT, SIGTERM}) {
    Running train(setup, {"train", "cfg.json"});
    const int fifo = open((setup.dir / "cfg.json").c_str(), O_WRONLY);  // once it reads
    REQUIRE(fifo >= 0);
    train.send(signal);
    CHECK(train.says("stopping soon; press Ctrl-C again to end at once\n"));
    CHECK(write(fifo, config.data(), config.size()) == ssize_t(config.size()));
    close(fifo);
    CHECK(train.wait() == 1);
    const std::string& said = train.said;
    INFO(said);
    CHECK(said.find("run: stopped before the first batch") != std::string::npos);
    CHECK(said.find("data.") == std::string::npos);
    CHECK_FALSE(fs::exists(setup.dir / "runs"));
  }
}

TEST_CASE("command: detect stopped by a signal has written what it found, and nothing by halves") {
  const Setup setup;
  constexpr size_t kPictures = 500;
  fs::create_directories(setup.dir / "many");
  for (size_t i = 0; i < kPictures; ++i) {
    fs::create_hard_link(setup.dir / "val/images/p000.png",
                         setup.dir / fmt::format("many/{:03}.png", i));
  }
  Running detect(setup, {"detect", "--weights", "tiny.safetensors", "--size", "64", "--source",
                         "many", "--out", "o"});
  REQUIRE(detect.says("many/000.png: "));
  detect.send(SIGTERM);
  CHECK(detect.wait() == 1);
  const std::string& said = detect.said;
  INFO(said);
  const auto document = nlohmann::json::parse(test::read_file(setup.dir / "o/detections.json"));
  const size_t done = document.at("images").size();
  CHECK(done > 0);
  CHECK(done < kPictures);
  CHECK(said.ends_with(fmt::format("detect: stopped after {} of 500 pictures\n", done)));
  size_t texts = 0;
  for (const auto& entry : fs::directory_iterator(setup.dir / "o")) {
    CHECK(entry.path().extension() != ".tmp");
    texts += entry.path().extension() == ".txt" ? 1 : 0;
  }
  CHECK(texts == done);
}

TEST_CASE("command: a signal that the parent ignored, as nohup does, ends no training") {
  const Setup setup;
  for (const int signal : {SIGHUP, SIGINT, SIGTERM}) {
    const std::string run = fmt::format("whole{}", signal);
    INFO(run);
    CHECK(train_and_signal(setup, run, signal, SIG_IGN) == 0);
    CHECK(num_lines(test::read_file(setup.dir / ("runs/train/" + run + "/results.csv"))) == 5);
  }
}

TEST_CASE("command: a training goes on when nobody reads its messages any more") {
  const Setup setup;
  int ends[2] = {};
  REQUIRE(pipe(ends) == 0);
  close(ends[0]);  // such a reader as a `tee` that went with its terminal
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(setup.dir.path().c_str()) != 0 || dup2(ends[1], STDERR_FILENO) < 0) _exit(99);
    execl(YD_TOOL, YD_TOOL, "train", "cfg.json", "train.epochs=1", nullptr);
    _exit(99);
  }
  close(ends[1]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(fs::exists(setup.dir / "runs/train/exp/weights/best.safetensors"));
}

TEST_CASE("command: SIGTERM while events wait for a slow reader loses none of them") {
  const Setup setup;
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  REQUIRE(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
  const pid_t child = fork();
  if (child == 0) {
    if (chdir(setup.dir.path().c_str()) != 0 || dup2(ends[1], STDOUT_FILENO) < 0) _exit(99);
    if (freopen("err.txt", "w", stderr) == nullptr) _exit(99);
    execl(YD_TOOL, YD_TOOL, "train", "cfg.json", "train.epochs=1000", "--json", nullptr);
    _exit(99);
  }
  close(ends[1]);
  // The run waits once the pipe is nearly full and stays so.
  for (int filled = 0, before = -1; filled != before || filled < 3000;) {
    REQUIRE(waitpid(child, nullptr, WNOHANG) == 0);
    before = filled;
    std::this_thread::sleep_for(std::chrono::seconds(1));
    REQUIRE(ioctl(ends[0], FIONREAD, &filled) == 0);
  }
  kill(child, SIGTERM);
  std::string out;
  char bytes[4096];
  for (ssize_t n; (n = read(ends[0], bytes, sizeof bytes)) > 0;) out.append(bytes, size_t(n));
  close(ends[0]);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO(test::read_file(setup.dir / "err.txt"));
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 1));
  std::istringstream lines(out);
  std::string last;
  for (std::string line; std::getline(lines, line); last = line) {
    CHECK(nlohmann::json::accept(line));
  }
  REQUIRE(nlohmann::json::accept(last));
  CHECK(nlohmann::json::parse(last).at("event") == "done");
}

TEST_CASE("command: video stops while its camera sends nothing, and has told of what came") {
  const Setup setup;
  const fs::path camera = setup.dir / "camera";
  REQUIRE(mkfifo(camera.c_str(), 0600) == 0);
  Running video(setup, {"video", "--weights", "tiny.safetensors", "--size", "64", "--source",
                        "camera", "--out", "out.y4m", "--json", "boxes"});
  const int pipe = open(camera.c_str(), O_WRONLY);
  REQUIRE(pipe >= 0);
  // A whole frame, and a part of the next.
  const std::string stream = "YUV4MPEG2 W16 H16 Cmono\nFRAME\n" + std::string(256, 'a') +
                             "FRAME\n" + std::string(100, 'b');
  REQUIRE(write(pipe, stream.data(), stream.size()) == ssize_t(stream.size()));
  const auto frames = [&] {
    return fs::exists(setup.dir / "boxes") ? num_lines(read_file(setup.dir / "boxes")) : 0;
  };
  const auto latest = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (frames() < 1) {
    REQUIRE(std::chrono::steady_clock::now() < latest);
    std::this_thread::yield();
  }
  video.send(SIGTERM);
  CHECK(video.wait() == 1);
  CHECK(video.said.find("16x16: 1 frames") != std::string::npos);
  CHECK(video.said.find("video: stopped before the end of the stream") != std::string::npos);
  CHECK(read_file(setup.dir / "out.y4m").size() == 24 + 6 + 256);
  close(pipe);
}

TEST_CASE("command: video ends when nobody takes its frames, though its camera sends no more") {
  const Setup setup;
  for (const char* pipe : {"camera", "window"}) {
    REQUIRE(mkfifo((setup.dir / pipe).c_str(), 0600) == 0);
  }
  Running video(setup, {"video", "--weights", "tiny.safetensors", "--size", "64", "--source",
                        "camera", "--out", "window"});
  const int camera = open((setup.dir / "camera").c_str(), O_WRONLY);
  REQUIRE(camera >= 0);
  const std::string header = "YUV4MPEG2 W16 H16 Cmono\n";
  const std::string stream = header + "FRAME\n" + std::string(256, 'a');
  REQUIRE(write(camera, header.data(), header.size()) == ssize_t(header.size()));
  const int window = open((setup.dir / "window").c_str(), O_RDONLY);
  REQUIRE(window >= 0);
  char bytes[24];
  REQUIRE(read(window, bytes, sizeof bytes) == 24);  // the header comes before any frame
  close(window);
  REQUIRE(write(camera, stream.data() + 24, stream.size() - 24) == ssize_t(stream.size() - 24));
  CHECK(video.wait() == 1);
  CHECK(video.said == "ydistill: window: cannot be written any more\n");
  close(camera);
}

}  // namespace
}  // namespace ydistill
