// SPDX-License-Identifier: MIT
// The sums of batches, from where a runner keeps them to where the training reads them: over all
// processes, and looked at.
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

  /// Counts the pictures of an epoch anew.
  void begin_epoch() { pictures_taken_ = 0; }
  /// A batch whose sums the runner holds from now on.
  void add(const Batch& batch);
  /// Batches whose sums it holds.
  int64_t untaken() const { return untaken_; }

  /// The runner's sums of those. Of several processes, which all come here together: losses are
  /// means over the pictures of all, as those of a whole batch are, and the rest is summed.
  /// stops: whether this process is asked to stop. epoch, batch: of the last of them, for messages.
  /// throws NotFiniteError, in all processes as Exchange::together does.
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
