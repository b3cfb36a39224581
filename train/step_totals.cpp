// SPDX-License-Identifier: MIT
#include <ydistill/train/step_totals.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

bool are_losses_finite(const StepSums& sums) {
  return std::isfinite(sums.box + sums.obj + sums.cls + sums.distill());
}

}  // namespace

void StepTotals::add(const Batch& batch) {
  ++untaken_;
  pictures_untaken_ += int64_t(batch.indices.size());
  labelled_untaken_ += std::count(batch.labelled.begin(), batch.labelled.end(), 1);
}

StepSums StepTotals::take(StepRunner& runner, bool stops, int64_t epoch, int64_t batch) {
  StepSums sums = runner.take();
  if (exchange_.size() > 1) sum_over_processes(sums, stops);
  // All processes see the same sums.
  if (!are_losses_finite(sums) || sums.skipped_steps > 0) {
    exchange_.together([&] { refuse(sums, epoch, batch); });
  }
  pictures_taken_ += std::exchange(pictures_untaken_, 0);
  labelled_untaken_ = untaken_ = 0;
  return sums;
}

void StepTotals::sum_over_processes(StepSums& sums, bool stops) {
  std::vector<double> numbers{double(pictures_untaken_), double(labelled_untaken_),
                              double(sums.skipped_steps), stops ? 1.0 : 0.0};
  for (const StepSum& sum : step_sums()) {
    numbers.push_back(sums.*sum.value * pictures_of(sum.mean_over));
  }
  exchange_.sum(numbers);
  pictures_untaken_ = int64_t(numbers[0]);
  labelled_untaken_ = int64_t(numbers[1]);
  sums.skipped_steps = int64_t(numbers[2]);
  if (numbers[3] > 0) stop_agreed_ = true;
  size_t next = 4;
  for (const StepSum& sum : step_sums()) {
    sums.*sum.value = numbers[next++] / std::max(pictures_of(sum.mean_over), 1.0);
  }
}

/// Of the pictures not taken yet.
double StepTotals::pictures_of(MeanOver mean_over) const {
  if (mean_over == MeanOver::kNothing) return 1;
  return double(mean_over == MeanOver::kAll ? pictures_untaken_ : labelled_untaken_);
}

void StepTotals::refuse(const StepSums& sums, int64_t epoch, int64_t batch) const {
  const std::string batches = untaken_ <= 1
                                  ? fmt::format("batch {}", batch)
                                  : fmt::format("batches {} to {}", batch - untaken_ + 1, batch);
  if (!are_losses_finite(sums)) {
    throw NotFiniteError(
        "epoch {}, {}: the loss is not finite (box {:g}, obj {:g}, cls {:g}, distill {:g}); "
        "lower train.lr0 or check the labels",
        epoch + 1, batches, sums.box, sums.obj, sums.cls, sums.distill());
  }
  throw NotFiniteError("epoch {}, {}: a gradient is not finite; lower train.lr0", epoch + 1,
                       batches);
}

}  // namespace ydistill
