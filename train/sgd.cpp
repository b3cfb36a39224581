// SPDX-License-Identifier: MIT
#include <ydistill/train/sgd.h>

#include <cmath>
#include <vector>

namespace ydistill {

Sgd::Sgd(ParameterStore& store, const EmaOptions& ema) : store_(store), ema_(ema) {
  if (store.dtype() != DType::kFloat32) {
    throw DTypeError("sgd: takes float32 parameters, got {}", name_of(store.dtype()));
  }
  const ArenaScope heap(nullptr);  // outlives any step
  momentum_ = Tensor::zeros(store.values().shape());
  ema_values_ = store.values().clone();
  ema_statistics_ = store.statistics().clone();
}

double Sgd::grad_norm() const {
  const Tensor& grads = store_.grads();
  constexpr int64_t kPerChunk = 1 << 16;
  std::vector<double> partial(size_t((grads.numel() + kPerChunk - 1) / kPerChunk));
  sgd_kernels().square_sums(grads.data<float>(), grads.numel(), kPerChunk, partial.data());
  double sum = 0;
  for (const double part : partial) sum += part;
  return std::sqrt(sum);
}

void Sgd::step(const SgdRates& rates) {
  ++updates_;
  const float keep = float(ema_.decay * (1 - std::exp(-double(updates_) / ema_.tau)));
  for (int group = 0; group < kNumParameterGroups; ++group) {
    const auto [begin, end] = store_.range(ParameterGroup(group));
    const float decay =
        ParameterGroup(group) == ParameterGroup::kDecay ? float(rates.weight_decay) : 0.0f;
    sgd_kernels().step(store_.values().data<float>() + begin, store_.grads().data<float>() + begin,
                       momentum_.data<float>() + begin, ema_values_.data<float>() + begin,
                       end - begin, float(rates.lr[size_t(group)]), float(rates.momentum), decay,
                       float(rates.grad_scale), keep);
  }
  sgd_kernels().average(ema_statistics_.data<float>(), store_.statistics().data<float>(),
                        ema_statistics_.numel(), keep);
  store_.mark_changed();
}

void Sgd::zero_grads() {
  store_.grads().zero();
}

}  // namespace ydistill
