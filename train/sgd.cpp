// SPDX-License-Identifier: MIT
#include <ydistill/train/sgd.h>

#include <cmath>

#include <ydistill/tensor/square_sum.h>

namespace ydistill {
Sgd::Sgd(ParameterStore& store, const EmaOptions& ema) : store_(store), ema_(ema) {
  if (store.dtype() != DType::kFloat32) {
    throw DTypeError("sgd: takes float32 parameters, got {}", name_of(store.dtype()));
  }
  const ArenaScope heap(nullptr);  // outlives any step
  const Device device = store.device();
  momentum_ = Tensor::zeros(store.values().shape(), DType::kFloat32, device);
  ema_values_ = store.values().clone();
  ema_statistics_ = store.statistics().clone();
  if (device.is_cpu()) return;
  staged_ = YD_BACKEND(device, Tensor(), cuda::sgd_staging(device));
  partial_sums_ =
      YD_BACKEND(device, Tensor(), cuda::square_sum_room(store.grads().numel(), device));
  progress_ = Tensor::zeros({3}, DType::kFloat64, device);
}

double Sgd::grad_norm() const {
  return std::sqrt(square_sum(store_.grads()));
}

void Sgd::step(const SgdRates& rates) {
  stage(rates);
  launch();
}

void Sgd::stage(const SgdRates& rates) {
  ++updates_;
  numbers_.clip_norm = rates.clip_norm;
  for (size_t i = 0; i < rates.lr.size(); ++i) numbers_.lr[i] = float(rates.lr[i]);
  numbers_.momentum = float(rates.momentum);
  numbers_.weight_decay = float(rates.weight_decay);
  numbers_.ema_keep = float(ema_.decay * (1 - std::exp(-double(updates_) / ema_.tau)));
  YD_BACKEND(store_.device(), void(), cuda::sgd_stage(numbers_, staged_));
  store_.mark_changed();
}

void Sgd::launch() {
  YD_BACKEND(store_.device(), launch_on_cpu(),
             cuda::sgd_launch(store_, momentum_, ema_values_, ema_statistics_, staged_,
                              partial_sums_, progress_));
  store_.mark_changed();
}

void Sgd::launch_on_cpu() {
  report_.grad_norm = grad_norm();
  if (!sgd_is_finite(report_.grad_norm)) {
    ++report_.skipped;
    zero_grads();
    return;
  }
  const float scale = sgd_clip_scale(report_.grad_norm, numbers_.clip_norm);
  for (int group = 0; group < kNumParameterGroups; ++group) {
    const auto [begin, end] = store_.range(ParameterGroup(group));
    const bool decays = ParameterGroup(group) == ParameterGroup::kDecay;
    sgd_kernels().step(store_.values().data<float>() + begin, store_.grads().data<float>() + begin,
                       momentum_.data<float>() + begin, ema_values_.data<float>() + begin,
                       end - begin,
                       {numbers_.lr[group], numbers_.momentum,
                        decays ? numbers_.weight_decay : 0.0f, scale, numbers_.ema_keep});
  }
  sgd_kernels().average(ema_statistics_.data<float>(), store_.statistics().data<float>(),
                        ema_statistics_.numel(), numbers_.ema_keep);
}

SgdReport Sgd::report() const {
  if (store_.device().is_cpu()) return report_;
  const Tensor progress = progress_.to(Device::cpu());
  return {progress.at(0), int64_t(progress.at(2))};
}

void Sgd::zero_grads() {
  store_.grads().zero();
}

}  // namespace ydistill
