// SPDX-License-Identifier: MIT
#include <ydistill/tools/progress.h>

#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string_view>

#include <ydistill/tools/command.h>

namespace ydistill::tools {
namespace {

std::atomic<int> stop_flag = 0;  // other threads read it too
static_assert(std::atomic<int>::is_always_lock_free);

/// Printed at the first signal, because the current work may take a while to end; empty: nothing.
std::string_view stop_notice;

void on_signal(int signal) {
  if (stop_flag != 0 && signal == SIGINT) _exit(128 + signal);
  if (stop_flag == 0 && !stop_notice.empty()) {
    const int before = errno;
    (void)!write(STDERR_FILENO, stop_notice.data(), stop_notice.size());
    errno = before;
  }
  stop_flag = 1;
}

std::string duration(double seconds) {
  const int64_t s = int64_t(seconds);
  return s >= 3600 ? fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60)
                   : fmt::format("{}:{:02}", s / 60, s % 60);
}

void print_event(const nlohmann::ordered_json& event) {
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;
  fmt::print("{}\n", event.dump(-1, ' ', false, replace));
  std::fflush(stdout);
}

}  // namespace

void catch_stop_signals(OnSignal words) {
  if (words == OnSignal::kSay) {
    constexpr std::string_view kNotice = "\nstopping soon; press Ctrl-C again to end at once\n";
    // In a terminal the cursor may be within a line, after the ^C that was typed.
    stop_notice = isatty(STDERR_FILENO) != 0 ? kNotice : kNotice.substr(1);
  }
  struct sigaction action = {}, before = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // otherwise a write in progress would fail
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    // A signal ignored from the start stays ignored: nohup or a background job wants it so.
    if (sigaction(signal, nullptr, &before) == 0 && before.sa_handler == SIG_IGN) continue;
    sigaction(signal, &action, nullptr);
  }
  std::signal(SIGPIPE, SIG_IGN);  // a log that is no longer read must not end a training
}

bool stop_signal_came() {
  return stop_flag != 0;
}

Progress::Progress(Words words) : words_(words), terminal_(isatty(STDERR_FILENO) != 0) {}

void Progress::clear_line() {
  if (line_open_) say("\r\033[K");
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
  say(
      fmt::format("\r\033[Kepoch {}/{}  {}/{}  box {:.4f} obj {:.4f} cls {:.4f} distill {:.4f}  "
                  "{:.1f} img/s, {:.0f}% waiting, {} left",
                  p.epoch + 1, p.epochs, p.batch, p.batches, p.box, p.obj, p.cls, p.distill,
                  p.images_per_second, 100 * p.waiting_share, duration(p.seconds_left)));
  line_open_ = true;
}

void Progress::epoch(const EpochResult& r, int64_t epochs, double waiting_share) {
  if (words_ == Words::kQuiet) return;
  clear_line();
  if (!header_said_) {
    say(fmt::format("{:>9} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8} {:>8}\n", "epoch", "box",
                    "obj", "cls", "distill", "P", "R", "mAP50", "mAP50-95", "waiting"));
    header_said_ = true;
  }
  say(fmt::format(
      "{:>9} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>8.4f} {:>7.1f}%\n",
      fmt::format("{}/{}", r.epoch + 1, epochs), r.train_box, r.train_obj, r.train_cls,
      r.train_distill, r.precision, r.recall, r.map50, r.map, 100 * waiting_share));
}

void JsonProgress::started(const std::filesystem::path& run, int64_t epochs) {
  print_event({{"event", "run"}, {"folder", run.string()}, {"epochs", epochs}});
}

void JsonProgress::message(const std::string& line) {
  print_event({{"event", "message"}, {"text", line}});
}

void JsonProgress::step(const StepProgress& p) {
  const auto now = std::chrono::steady_clock::now();
  if (p.batch < p.batches && now - last_ < std::chrono::seconds(1)) return;
  last_ = now;
  print_event({{"event", "step"},
               {"epoch", p.epoch},
               {"epochs", p.epochs},
               {"batch", p.batch},
               {"batches", p.batches},
               {"box", p.box},
               {"obj", p.obj},
               {"cls", p.cls},
               {"distill", p.distill},
               {"images_per_second", p.images_per_second},
               {"seconds_left", p.seconds_left},
               {"waiting_share", p.waiting_share}});
}

void JsonProgress::epoch(const EpochResult& result, int64_t epochs, double waiting_share) {
  nlohmann::ordered_json event{{"event", "epoch"}, {"epoch", result.epoch}, {"epochs", epochs}};
  for (const EpochColumn& column : epoch_columns()) event[column.name] = result.*column.value;
  event["waiting_share"] = waiting_share;
  print_event(event);
}

void JsonProgress::done(const TrainOutcome& outcome) {
  nlohmann::ordered_json event{{"event", "done"}, {"finished", outcome.finished}};
  event["folder"] = event["best"] = nullptr;
  if (!outcome.run.empty()) {
    event["folder"] = outcome.run.string();
    const std::filesystem::path best = outcome.run / "weights" / "best.safetensors";
    std::error_code error;
    if (std::filesystem::exists(best, error)) event["best"] = best.string();
  }
  print_event(event);
}

void JsonProgress::error(const std::string& text) {
  print_event({{"event", "error"}, {"text", text}});
}

}  // namespace ydistill::tools
