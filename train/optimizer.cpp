// SPDX-License-Identifier: MIT
#include <ydistill/train/optimizer.h>

#include <cmath>

#include <ydistill/tensor/square_sum.h>

namespace ydistill {
Optimizer::Optimizer(ParameterStore& store, const EmaOptions& ema, OptimizerRule rule)
    : store_(store), ema_(ema), rule_(rule) {
  if (store.dtype() != DType::kFloat32) {
    throw DTypeError("optimizer: takes float32 parameters, got {}", name_of(store.dtype()));
  }
  const ArenaScope heap(nullptr);  // outlives any step
  const Device device = store.device();
  momentum_ = Tensor::zeros(store.values().shape(), DType::kFloat32, device);
  if (rule == OptimizerRule::kAdamW) {
    squares_ = Tensor::zeros(store.values().shape(), DType::kFloat32, device);
  }
  ema_values_ = store.values().clone();
  ema_statistics_ = store.statistics().clone();
  if (device.is_cpu()) return;
  staged_ = YD_BACKEND(device, Tensor(), cuda::optimizer_staging(device));
  partial_sums_ =
      YD_BACKEND(device, Tensor(), cuda::square_sum_room(trained_grads().numel(), device));
  progress_ = Tensor::zeros({3}, DType::kFloat64, device);
}

/// Frozen parameters are stored after all others.
Tensor Optimizer::trained_grads() const {
  return store_.grads().slice(0, store_.range(ParameterGroup::kFrozen).first);
}

double Optimizer::grad_norm() const {
  return std::sqrt(square_sum(trained_grads()));
}

void Optimizer::step(const OptimizerRates& rates) {
  stage(rates);
  launch();
}

void Optimizer::stage(const OptimizerRates& rates) {
  ++updates_;
  numbers_.clip_norm = rates.clip_norm;
  for (size_t i = 0; i < rates.lr.size(); ++i) numbers_.lr[i] = float(rates.lr[i]);
  numbers_.momentum = float(rates.momentum);
  numbers_.weight_decay = float(rates.weight_decay);
  if (rule_ == OptimizerRule::kAdamW) {
    const double steps = double(updates_);
    numbers_.momentum_correction = float(1 / (1 - std::pow(rates.momentum, steps)));
    numbers_.squares_correction = float(1 / std::sqrt(1 - std::pow(kAdamSquares, steps)));
  }
  numbers_.ema_keep = float(ema_.decay * (1 - std::exp(-double(updates_) / ema_.tau)));
  store_.refresh_rounded();  // the step writes only what it changes
  YD_BACKEND(store_.device(), void(), cuda::optimizer_stage(numbers_, staged_));
  mark_stepped();
}

void Optimizer::mark_stepped() {
  store_.mark_changed();
  store_.mark_rounded();
}

void Optimizer::launch() {
  YD_BACKEND(store_.device(), launch_on_cpu(),
             cuda::optimizer_launch(store_, momentum_, squares_, ema_values_, ema_statistics_,
                                    staged_, partial_sums_, progress_));
  mark_stepped();
}

void Optimizer::launch_on_cpu() {
  report_.grad_norm = grad_norm();
  if (!optimizer_is_finite(report_.grad_norm)) {
    ++report_.skipped;
    zero_grads();
    return;
  }
  const float scale = optimizer_clip_scale(report_.grad_norm, numbers_.clip_norm);
  for (int group = 0; group < kNumParameterGroups; ++group) {
    const auto [begin, end] = store_.range(ParameterGroup(group));
    const bool decays = ParameterGroup(group) == ParameterGroup::kDecay;
    const OptimizerBuffers buffers{store_.values().data<float>() + begin,
                                   store_.grads().data<float>() + begin,
                                   momentum_.data<float>() + begin,
                                   squares_.defined() ? squares_.data<float>() + begin : nullptr,
                                   ema_values_.data<float>() + begin};
    const OptimizerFactors factors{numbers_.lr[group],
                                   numbers_.momentum,
                                   decays ? numbers_.weight_decay : 0.0f,
                                   scale,
                                   numbers_.ema_keep,
                                   numbers_.momentum_correction,
                                   numbers_.squares_correction};
    const auto step = rule_ == OptimizerRule::kAdamW ? optimizer_kernels().step_adamw
                                                     : optimizer_kernels().step_sgd;
    step(buffers, end - begin, factors);
  }
  const auto [frozen, end] = store_.range(ParameterGroup::kFrozen);
  store_.grads().slice(frozen, end).zero();
  optimizer_kernels().average(ema_statistics_.data<float>(), store_.statistics().data<float>(),
                              ema_statistics_.numel(), numbers_.ema_keep);
}

OptimizerReport Optimizer::report() const {
  if (store_.device().is_cpu()) return report_;
  const Tensor progress = progress_.to(Device::cpu());
  return {progress.at(0), int64_t(progress.at(2))};
}

void Optimizer::zero_grads() {
  store_.grads().zero();
}

}  // namespace ydistill
