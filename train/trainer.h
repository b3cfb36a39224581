// SPDX-License-Identifier: MIT
// Training and distillation: from a config to a run folder.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/evaluate.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/run_folder.h>

namespace ydistill {

/// The progress of the run, after each batch.
struct StepProgress {
  int64_t epoch = 0, epochs = 0;
  int64_t batch = 0, batches = 0;                 ///< batches done in this epoch
  double box = 0, obj = 0, cls = 0, distill = 0;  ///< means over the epoch so far
  double images_per_second = 0;
  double seconds_left = 0;   ///< of the whole run, from the speed so far
  double waiting_share = 0;  ///< of this epoch's time spent waiting for data, 0..1
};

/// Receives the events of a run. All calls come from the training thread.
class TrainEvents {
 public:
  virtual ~TrainEvents() = default;
  /// Once, before the first batch: the run folder and the epochs planned.
  virtual void started(const std::filesystem::path&, int64_t) {}
  virtual void message(const std::string& line) = 0;
  /// Details that are useful only when looking for a cause or for speed.
  virtual void detail(const std::string&) {}
  virtual void step(const StepProgress& progress) = 0;
  virtual void epoch(const EpochResult& result, int64_t epochs, double waiting_share) = 0;
  /// True ends the run cleanly after the current batch, with a checkpoint; before the first batch
  /// at the next picture that is read, without creating a run folder.
  virtual bool stop_requested() = 0;
};

struct TrainOutcome {
  std::filesystem::path run;         ///< empty: stopped before the folder was created
  bool finished = false;             ///< false: stopped, to be resumed
  EvaluateResult last;               ///< of the last epoch, if it was validated
  std::vector<EpochResult> results;  ///< of the epochs that are done
};

/// Starts a run. throws ConfigError, FileError, OutOfMemoryError (naming a batch that would fit),
/// NotFiniteError (naming epoch and batch).
///
/// If `exchange` connects several processes, all of them call this with the same config, and each
/// trains on its share of every batch. Only the first one reports to its events and writes; from
/// the events of the others only stop_requested() is called. A request to stop applies to all,
/// after the next optimizer step. throws in all of them as Exchange::together does, or in one: see
/// Exchange::ends_together.
TrainOutcome train(const Config& config, TrainEvents& events,
                   Exchange& exchange = single_process());

/// Continues the run in this folder, or of this weights/last.safetensors. On the CPU, with the same
/// number of threads (and processes, as in train()), it ends with the same bits as a run that was
/// never stopped. All processes read the checkpoint.
TrainOutcome resume_training(const std::filesystem::path& run_or_checkpoint, TrainEvents& events,
                             Exchange& exchange = single_process());

}  // namespace ydistill
