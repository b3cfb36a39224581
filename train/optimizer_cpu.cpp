// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/train/optimizer.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPerTask = 1 << 15;

void step_sgd(const OptimizerBuffers& buffers, int64_t n, const OptimizerFactors& factors) {
  float* __restrict__ values = buffers.values;
  float* __restrict__ grads = buffers.grads;
  float* __restrict__ momentum = buffers.momentum;
  float* __restrict__ ema = buffers.ema;
  const OptimizerFactors f = factors;
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const OptimizerState s = sgd_update({values[i], momentum[i], ema[i], 0.0f}, grads[i], f);
      values[i] = s.value;
      momentum[i] = s.momentum;
      ema[i] = s.ema;
      grads[i] = 0.0f;
    }
  });
}

void step_adamw(const OptimizerBuffers& buffers, int64_t n, const OptimizerFactors& factors) {
  float* __restrict__ values = buffers.values;
  float* __restrict__ grads = buffers.grads;
  float* __restrict__ momentum = buffers.momentum;
  float* __restrict__ squares = buffers.squares;
  float* __restrict__ ema = buffers.ema;
  const OptimizerFactors f = factors;
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const OptimizerState s =
          adamw_update({values[i], momentum[i], ema[i], squares[i]}, grads[i], f);
      values[i] = s.value;
      momentum[i] = s.momentum;
      squares[i] = s.squares;
      ema[i] = s.ema;
      grads[i] = 0.0f;
    }
  });
}

void average(float* __restrict__ ema, const float* __restrict__ values, int64_t n, float ema_keep) {
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) ema[i] = optimizer_average(ema[i], values[i], ema_keep);
  });
}

}  // namespace

const OptimizerKernels& optimizer_kernels() {
  static const OptimizerKernels kernels{step_sgd, step_adamw, average};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
