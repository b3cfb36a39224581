// SPDX-License-Identifier: MIT
#include <ydistill/train/schedule.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ydistill {
namespace {

/// Linear from a at 0 to b at `width`, then b.
double interpolate(double x, double width, double a, double b) {
  return x >= width ? b : a + (b - a) * x / width;
}

}  // namespace

// std::nearbyint rounds half to even, as Python's round does.
Schedule::Schedule(const TrainConfig& config, int64_t batches_per_epoch) : config_(config) {
  const double ratio = double(config.nominal_batch) / double(config.batch);
  full_accumulate_ = std::max<int64_t>(int64_t(std::nearbyint(ratio)), 1);
  const double wanted = config.warmup_epochs * double(batches_per_epoch);
  warmup_ = config.warmup_epochs > 0
                ? std::max(int64_t(std::nearbyint(wanted)), config.warmup_min_iterations)
                : -1;
}

double Schedule::lr_factor(int64_t epoch) const {
  const double lrf = config_.lrf;
  if (config_.schedule == TrainConfig::Schedule::kCosine) {
    const double phase = std::numbers::pi * double(epoch) / double(config_.epochs);
    return 1 + (lrf - 1) * (1 - std::cos(phase)) / 2;
  }
  const int64_t span =
      config_.compat == TrainConfig::Compat::kV5 ? config_.epochs - 1 : config_.epochs;
  return (1 - double(epoch) / double(std::max<int64_t>(span, 1))) * (1 - lrf) + lrf;
}

OptimizerRates Schedule::rates(int64_t ni, int64_t epoch) const {
  const double lr = config_.lr0 * lr_factor(epoch);
  OptimizerRates rates;
  rates.lr = {lr, lr, lr};
  rates.momentum = config_.momentum;
  rates.weight_decay = config_.weight_decay * double(config_.batch * full_accumulate_) /
                       double(config_.nominal_batch);
  rates.clip_norm = config_.clip_norm;
  if (ni <= warmup_) {
    const double x = double(ni), width = double(warmup_);
    rates.lr.fill(interpolate(x, width, 0, lr));
    rates.lr[size_t(ParameterGroup::kBias)] = interpolate(x, width, config_.warmup_bias_lr, lr);
    if (config_.optimizer == TrainConfig::Optimizer::kSgd) {
      rates.momentum = interpolate(x, width, config_.warmup_momentum, config_.momentum);
    }
  }
  return rates;
}

int64_t Schedule::accumulate(int64_t ni) const {
  if (ni > warmup_) return full_accumulate_;
  const double ratio = double(config_.nominal_batch) / double(config_.batch);
  return std::max<int64_t>(
      int64_t(std::nearbyint(interpolate(double(ni), double(warmup_), 1, ratio))), 1);
}

bool Schedule::steps_at(int64_t ni, int64_t last_step) const {
  const int64_t every = accumulate(ni);
  return config_.step_rule == TrainConfig::StepRule::kSinceLast ? ni - last_step >= every
                                                                : ni % every == 0;
}

}  // namespace ydistill
