// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/train/sgd.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPerTask = 1 << 15;

void step(float* __restrict__ values, float* __restrict__ grads, float* __restrict__ momentum,
          float* __restrict__ ema, int64_t n, const SgdFactors& factors) {
  const SgdFactors f = factors;
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const SgdState s = sgd_update({values[i], momentum[i], ema[i]}, grads[i], f);
      values[i] = s.value;
      momentum[i] = s.momentum;
      ema[i] = s.ema;
      grads[i] = 0.0f;
    }
  });
}

void average(float* __restrict__ ema, const float* __restrict__ values, int64_t n, float ema_keep) {
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) ema[i] = sgd_average(ema[i], values[i], ema_keep);
  });
}

}  // namespace

const SgdKernels& sgd_kernels() {
  static const SgdKernels kernels{step, average};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
