// SPDX-License-Identifier: MIT
// One step is three kernels: parts of the gradients' square sum, the norm and what follows from it,
// and one pass over all buffers with 16 bytes a thread. Bytes a parameter: the norm reads 4, the
// pass reads 16 and writes 16. The host waits for none of them.
//
// Groups begin at multiples of 64 bytes and the buffers are padded to such, so 16 bytes never
// belong to two groups.
#include <ydistill/tensor/cuda/block_sums.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/train/sgd.h>

namespace ydistill::cuda {
namespace {

constexpr int kWidth = kPack<float>;

/// Where the steps so far have come to; all double, so that one tensor holds it.
struct SgdProgress {
  double grad_norm;
  double scale;    // of the last step's gradients; negative where that step is left out
  double skipped;  // steps left out so far
};

/// On one thread, with the sum of the squares.
struct Norm {
  const SgdNumbers* numbers;
  SgdProgress* progress;
  __device__ void operator()(const double* square_sum) const {
    const double norm = std::sqrt(square_sum[0]);
    progress->grad_norm = norm;
    if (sgd_is_finite(norm)) {
      progress->scale = double(sgd_clip_scale(norm, numbers->clip_norm));
    } else {
      progress->scale = -1;
      progress->skipped += 1;
    }
  }
};

struct Store {
  SgdNumbers numbers;
  SgdNumbers* staged;
  __device__ void operator()(int64_t) const { *staged = numbers; }
};

/// Pack i of the parameters, or, behind them, of the statistics.
struct Step {
  float *values, *grads, *momentum, *ema, *ema_statistics;
  const float* statistics;
  int64_t packs;
  int64_t group_ends[kNumParameterGroups];  // in packs
  const SgdNumbers* numbers;
  const SgdProgress* progress;

  __device__ void operator()(int64_t i) const {
    if (i < packs) {
      update(i);
    } else {
      average((i - packs) * kWidth);
    }
  }

  __device__ void update(int64_t i) const {
    const int64_t at = i * kWidth;
    const auto g = load<float, kWidth>(grads + at);
    store(grads + at, Pack<float, kWidth>{});
    const float scale = float(progress->scale);
    if (scale < 0) return;
    int group = 0;  // without an index that only the running kernel knows
    for (int k = 0; k + 1 < kNumParameterGroups; ++k) group += i >= group_ends[k] ? 1 : 0;
    const bool decays = ParameterGroup(group) == ParameterGroup::kDecay;
    const SgdFactors factors{numbers->lr[group], numbers->momentum,
                             decays ? numbers->weight_decay : 0.0f, scale, numbers->ema_keep};
    auto value = load<float, kWidth>(values + at), b = load<float, kWidth>(momentum + at);
    auto e = load<float, kWidth>(ema + at);
    for (int k = 0; k < kWidth; ++k) {
      const SgdState s = sgd_update({value.v[k], b.v[k], e.v[k]}, g.v[k], factors);
      value.v[k] = s.value;
      b.v[k] = s.momentum;
      e.v[k] = s.ema;
    }
    store(values + at, value);
    store(momentum + at, b);
    store(ema + at, e);
  }

  __device__ void average(int64_t at) const {
    if (progress->scale < 0) return;
    const auto value = load<float, kWidth>(statistics + at);
    auto e = load<float, kWidth>(ema_statistics + at);
    for (int k = 0; k < kWidth; ++k) e.v[k] = sgd_average(e.v[k], value.v[k], numbers->ema_keep);
    store(ema_statistics + at, e);
  }
};

SgdNumbers* numbers_in(const Tensor& staged) {
  return reinterpret_cast<SgdNumbers*>(staged.device_data<uint8_t>());
}

}  // namespace

Tensor sgd_staging(Device device) {
  return Tensor::zeros({int64_t(sizeof(SgdNumbers))}, DType::kUInt8, device);
}

void sgd_stage(const SgdNumbers& numbers, const Tensor& staged) {
  // As a kernel's argument they are copied when it is launched: no buffer to keep until it ran.
  for_each(1, Store{numbers, numbers_in(staged)});
}

void sgd_launch(const ParameterStore& store, const Tensor& momentum, const Tensor& ema_values,
                const Tensor& ema_statistics, const Tensor& staged, const Tensor& partial_sums,
                const Tensor& progress) {
  const Tensor& values = store.values();
  auto* const state = reinterpret_cast<SgdProgress*>(progress.device_data<double>());
  square_sum_parts(store.grads(), partial_sums);
  finish_sums<1>(partial_sums.device_data<double>(), partial_sums.numel(),
                 Norm{numbers_in(staged), state});
  Step step{values.device_data<float>(),
            store.grads().device_data<float>(),
            momentum.device_data<float>(),
            ema_values.device_data<float>(),
            ema_statistics.device_data<float>(),
            store.statistics().device_data<float>(),
            values.numel() / kWidth,
            {},
            numbers_in(staged),
            state};
  for (int group = 0; group < kNumParameterGroups; ++group) {
    step.group_ends[group] = store.range(ParameterGroup(group)).second / kWidth;
  }
  for_each(step.packs + ema_statistics.numel() / kWidth, step);
}

}  // namespace ydistill::cuda
