// SPDX-License-Identifier: MIT
// One step is three kernels: partial sums of the squared gradients; the norm and what follows from
// it; one pass over all buffers with 16 bytes per thread. Bytes per parameter: the norm reads 4,
// the pass reads 16 and writes 16 (adamw 4 more of each), 2 more where rounded values are kept. The
// host never waits.
//
// Groups begin at multiples of 64 bytes and the buffers are padded to these, so that no 16 bytes
// belong to two groups.
#include <ydistill/tensor/cuda/block_sums.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/train/optimizer.h>

namespace ydistill::cuda {
namespace {

constexpr int kWidth = kPack<float>;

/// The progress of the steps so far; all double, so that one tensor holds it.
struct OptimizerProgress {
  double grad_norm;
  double scale;    // of the last step's gradients; negative if that step is skipped
  double skipped;  // steps skipped so far
};

/// Runs on one thread, with the sum of the squares.
struct Norm {
  const OptimizerNumbers* numbers;
  OptimizerProgress* progress;
  __device__ void operator()(const double* square_sum) const {
    const double norm = std::sqrt(square_sum[0]);
    progress->grad_norm = norm;
    if (optimizer_is_finite(norm)) {
      progress->scale = double(optimizer_clip_scale(norm, numbers->clip_norm));
    } else {
      progress->scale = -1;
      progress->skipped += 1;
    }
  }
};

struct Store {
  OptimizerNumbers numbers;
  OptimizerNumbers* staged;
  __device__ void operator()(int64_t) const { *staged = numbers; }
};

/// Pack i of the parameters or, after them, of the statistics.
template <OptimizerRule kRule>
struct Step {
  float *values, *grads, *momentum, *squares, *ema, *ema_statistics;
  BFloat16* rounded;  // or null
  const float* statistics;
  int64_t packs;
  int64_t group_ends[kNumParameterGroups];  // in packs
  const OptimizerNumbers* numbers;
  const OptimizerProgress* progress;

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
    if (scale < 0 || i >= group_ends[kNumParameterGroups - 1]) return;  // skipped, or frozen
    int group = 0;  // no array index that is known only at run time
    for (int k = 0; k + 1 < kNumParameterGroups; ++k) group += i >= group_ends[k] ? 1 : 0;
    const bool decays = ParameterGroup(group) == ParameterGroup::kDecay;
    const OptimizerFactors factors{numbers->lr[group],
                                   numbers->momentum,
                                   decays ? numbers->weight_decay : 0.0f,
                                   scale,
                                   numbers->ema_keep,
                                   numbers->momentum_correction,
                                   numbers->squares_correction};
    auto value = load<float, kWidth>(values + at), b = load<float, kWidth>(momentum + at);
    auto e = load<float, kWidth>(ema + at);
    constexpr bool kHasSquares = kRule == OptimizerRule::kAdamW;
    Pack<float, kWidth> v{};
    if constexpr (kHasSquares) v = load<float, kWidth>(squares + at);
    for (int k = 0; k < kWidth; ++k) {
      const OptimizerState before{value.v[k], b.v[k], e.v[k], v.v[k]};
      const OptimizerState s =
          kHasSquares ? adamw_update(before, g.v[k], factors) : sgd_update(before, g.v[k], factors);
      v.v[k] = s.squares;
      value.v[k] = s.value;
      b.v[k] = s.momentum;
      e.v[k] = s.ema;
    }
    store(values + at, value);
    if (rounded != nullptr) store_rounded(at, value);
    store(momentum + at, b);
    if constexpr (kHasSquares) store(squares + at, v);
    store(ema + at, e);
  }

  __device__ void store_rounded(int64_t at, const Pack<float, kWidth>& value) const {
    Pack<BFloat16, kWidth> r;
    for (int k = 0; k < kWidth; ++k) r.v[k] = BFloat16(value.v[k]);
    store(rounded + at, r);
  }

  __device__ void average(int64_t at) const {
    if (progress->scale < 0) return;
    const auto value = load<float, kWidth>(statistics + at);
    auto e = load<float, kWidth>(ema_statistics + at);
    for (int k = 0; k < kWidth; ++k)
      e.v[k] = optimizer_average(e.v[k], value.v[k], numbers->ema_keep);
    store(ema_statistics + at, e);
  }
};

OptimizerNumbers* numbers_in(const Tensor& staged) {
  return reinterpret_cast<OptimizerNumbers*>(staged.device_data<uint8_t>());
}

}  // namespace

Tensor optimizer_staging(Device device) {
  return Tensor::zeros({int64_t(sizeof(OptimizerNumbers))}, DType::kUInt8, device);
}

void optimizer_stage(const OptimizerNumbers& numbers, const Tensor& staged) {
  // As a kernel argument they are copied at launch: no buffer must be kept until the kernel has
  // run.
  for_each(1, Store{numbers, numbers_in(staged)});
}

namespace {

template <OptimizerRule kRule>
void launch_step(const ParameterStore& store, const Tensor& momentum, const Tensor& squares,
                 const Tensor& ema_values, const Tensor& ema_statistics, const Tensor& staged,
                 const OptimizerProgress* progress) {
  const Tensor& values = store.values();
  Step<kRule> step{values.device_data<float>(),
                   store.grads().device_data<float>(),
                   momentum.device_data<float>(),
                   squares.defined() ? squares.device_data<float>() : nullptr,
                   ema_values.device_data<float>(),
                   ema_statistics.device_data<float>(),
                   store.rounded().defined() ? store.rounded().device_data<BFloat16>() : nullptr,
                   store.statistics().device_data<float>(),
                   values.numel() / kWidth,
                   {},
                   numbers_in(staged),
                   progress};
  for (int group = 0; group < kNumParameterGroups; ++group) {
    step.group_ends[group] = store.range(ParameterGroup(group)).second / kWidth;
  }
  for_each(step.packs + ema_statistics.numel() / kWidth, step);
}

}  // namespace

void optimizer_launch(const ParameterStore& store, const Tensor& momentum, const Tensor& squares,
                      const Tensor& ema_values, const Tensor& ema_statistics, const Tensor& staged,
                      const Tensor& partial_sums, const Tensor& progress) {
  auto* const state = reinterpret_cast<OptimizerProgress*>(progress.device_data<double>());
  square_sum_parts(store.grads().slice(0, store.range(ParameterGroup::kFrozen).first),
                   partial_sums);
  finish_sums<1>(partial_sums.device_data<double>(), partial_sums.numel(),
                 Norm{numbers_in(staged), state});
  const auto launch =
      squares.defined() ? launch_step<OptimizerRule::kAdamW> : launch_step<OptimizerRule::kSgd>;
  launch(store, momentum, squares, ema_values, ema_statistics, staged, state);
}

}  // namespace ydistill::cuda
