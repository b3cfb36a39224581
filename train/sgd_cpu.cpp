// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/train/sgd.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPerTask = 1 << 15;

void step(float* __restrict__ values, float* __restrict__ grads, float* __restrict__ momentum,
          float* __restrict__ ema, int64_t n, float lr, float mu, float decay, float grad_scale,
          float ema_keep) {
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const float g = grad_scale * grads[i] + decay * values[i];
      const float b = mu * momentum[i] + g;
      const float p = values[i] - lr * (g + mu * b);
      momentum[i] = b;
      values[i] = p;
      ema[i] = ema_keep * ema[i] + (1.0f - ema_keep) * p;
      grads[i] = 0.0f;
    }
  });
}

void average(float* __restrict__ ema, const float* __restrict__ values, int64_t n, float ema_keep) {
  parallel_ranges(n, kPerTask, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      ema[i] = ema_keep * ema[i] + (1.0f - ema_keep) * values[i];
    }
  });
}

void square_sums(const float* x, int64_t n, int64_t per_chunk, double* partial) {
  parallel_ranges(n, per_chunk, [=](int64_t begin, int64_t end) {
    constexpr int kLanes = 16;
    double lanes[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) lanes[k] += double(x[i + k]) * double(x[i + k]);
    }
    double sum = 0;
    for (; i < end; ++i) sum += double(x[i]) * double(x[i]);
    for (int k = 0; k < kLanes; ++k) sum += lanes[k];
    partial[begin / per_chunk] = sum;
  });
}

}  // namespace

const SgdKernels& sgd_kernels() {
  static const SgdKernels kernels{step, average, square_sums};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
