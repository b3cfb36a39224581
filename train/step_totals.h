// SPDX-License-Identifier: MIT
// Passes the sums of batches from the runner to the training: added over all processes, and checked
// to be finite.
#pragma once

#include <cstdint>
#include <string>

#include <ydistill/data/loader.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/step_runner.h>

namespace ydistill {

class StepTotals {
 public:
  explicit StepTotals(Exchange& exchange) : exchange_(exchange) {}

  /// Restarts the count of an epoch's pictures.
  void begin_epoch() { pictures_taken_ = 0; }
  /// Adds a batch whose sums the runner holds from now on.
  void add(const Batch& batch);
  /// Number of batches whose sums it holds.
  int64_t untaken() const { return untaken_; }

  /// The runner's sums of those batches. Several processes must all call this together: losses
  /// become means over the pictures of all processes, like those of a whole batch, and the rest is
  /// summed. stops: whether this process is asked to stop. epoch, batch: of the last batch, for
  /// messages. throws NotFiniteError, in all processes as Exchange::together does.
  StepSums take(StepRunner& runner, bool stops, int64_t epoch, int64_t batch);

  /// Pictures of this epoch whose sums were taken, in all processes.
  int64_t pictures_taken() const { return pictures_taken_; }
  /// Whether any of several processes was asked to stop before the last take().
  bool stop_agreed() const { return stop_agreed_; }

 private:
  void sum_over_processes(StepSums& sums, bool stops);
  double pictures_of(MeanOver mean_over) const;
  [[noreturn]] void refuse(const StepSums& sums, int64_t epoch, int64_t batch) const;

  Exchange& exchange_;
  int64_t untaken_ = 0;
  int64_t pictures_untaken_ = 0, labelled_untaken_ = 0, pictures_taken_ = 0;
  bool stop_agreed_ = false;
};

}  // namespace ydistill
