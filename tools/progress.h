// SPDX-License-Identifier: MIT
// What a training prints, and how it is stopped by hand.
#pragma once

#include <chrono>
#include <string>

#include <ydistill/train/trainer.h>

namespace ydistill::tools {

enum class OnSignal {
  kSay,   ///< one line on standard error, at once
  kQuiet  ///< nothing
};
/// From now on SIGINT, SIGTERM and SIGHUP only set a flag; a second SIGINT ends the process at
/// once. Signals that the parent process had set to be ignored, as nohup does, stay ignored.
void catch_stop_signals(OnSignal on_signal);
bool stop_signal_came();

/// In a terminal a line that is updated, and one line per epoch everywhere. On standard error.
class Progress : public TrainEvents {
 public:
  enum class Words { kQuiet, kNormal, kVerbose };
  explicit Progress(Words words);
  void message(const std::string& line) override;
  void detail(const std::string& line) override;
  void step(const StepProgress& progress) override;
  void epoch(const EpochResult& result, int64_t epochs, double waiting_share) override;
  bool stop_requested() override { return stop_signal_came(); }

 private:
  void clear_line();

  Words words_;
  bool terminal_, line_open_ = false, header_said_ = false;
  std::chrono::steady_clock::time_point last_;
};

/// For programs: one JSON object per line on standard output, flushed at once; docs/report.md lists
/// the events and their keys. Numbers that are not finite are null.
class JsonProgress : public TrainEvents {
 public:
  void started(const std::filesystem::path& run, int64_t epochs) override;
  void message(const std::string& line) override;
  /// At most one per second, and the last of each epoch.
  void step(const StepProgress& progress) override;
  void epoch(const EpochResult& result, int64_t epochs, double waiting_share) override;
  bool stop_requested() override { return stop_signal_came(); }
  void done(const TrainOutcome& outcome);
  void error(const std::string& text);

 private:
  std::chrono::steady_clock::time_point last_;
};

}  // namespace ydistill::tools
