// SPDX-License-Identifier: MIT
#include <ydistill/tools/progress.h>

#include <fmt/format.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>

#include <ydistill/tools/command.h>

namespace ydistill::tools {
namespace {

volatile std::sig_atomic_t stop_flag = 0;

void on_signal(int signal) {
  if (stop_flag != 0 && signal == SIGINT) _exit(128 + signal);
  stop_flag = 1;
}

std::string duration(double seconds) {
  const int64_t s = int64_t(seconds);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

}  // namespace

void catch_stop_signals() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_signal_came() {
  return stop_flag != 0;
}

Progress::Progress(Words words) : words_(words), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::clear_line() {
  if (line_open_) fmt::print(stderr, "\r\033[K");
  line_open_ = false;
}

void Progress::message(const std::string& line) {
  if (words_ == Words::kQuiet) return;
  clear_line();
  tools::message(line);
}

void Progress::detail(const std::string& line) {
  if (words_ == Words::kVerbose) message(line);
}

void Progress::step(const StepProgress& p) {
  if (words_ == Words::kQuiet || !terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (p.batch < p.batches && now - last_ < std::chrono::milliseconds(100)) return;
  last_ = now;
  fmt::print(stderr,
             "\r\033[Kepoch {}/{}  {}/{}  box {:.4f} obj {:.4f} cls {:.4f} distill {:.4f}  "
             "{:.1f} img/s, {:.0f}% waiting, {} left",
             p.epoch + 1, p.epochs, p.batch, p.batches, p.box, p.obj, p.cls, p.distill,
             p.images_per_second, 100 * p.waiting_share, duration(p.seconds_left));
  std::fflush(stderr);
  line_open_ = true;
}

void Progress::epoch(const EpochResult& r, int64_t epochs, double waiting_share) {
  if (words_ == Words::kQuiet) return;
  clear_line();
  if (!header_said_) {
    fmt::print(stderr, "{:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "epoch",
               "box", "obj", "cls", "distill", "P", "R", "mAP50", "mAP50-95", "waiting");
    header_said_ = true;
  }
  fmt::print(
      stderr,
      "{:>9} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>7.1f}%\n",
      fmt::format("{}/{}", r.epoch + 1, epochs), r.train_box, r.train_obj, r.train_cls,
      r.train_distill, r.precision, r.recall, r.map50, r.map, 100 * waiting_share);
  std::fflush(stderr);
}

}  // namespace ydistill::tools
