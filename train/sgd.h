// SPDX-License-Identifier: MIT
// SGD with Nesterov momentum and the moving average of the weights, as one pass over flat buffers.
//
//   g' = scale g + decay p        decay: convolution weights only
//   b  = momentum b + g'          the first step's buffer is g' itself
//   p  = p - lr (g' + momentum b)
//   e  = d e + (1 - d) p          d = ema_decay (1 - exp(-u / ema_tau)), u counts steps from 1
//   g  = 0
//
// PyTorch's form: decay joins the gradient before the momentum, the rate multiplies outside the
// buffer. Sutskever et al. 2013; the average as in YOLOv5 (ModelEMA), running statistics included.
#pragma once

#include <array>
#include <cstdint>

#include <ydistill/layers/parameters.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct SgdRates {
  std::array<double, kNumParameterGroups> lr{};  ///< by ParameterGroup
  double momentum = 0.937;
  double weight_decay = 0;  ///< of ParameterGroup::kDecay
  double grad_scale = 1;    ///< below 1 where gradients are clipped
};

struct EmaOptions {
  double decay = 0.9999;
  double tau = 2000;
};

/// The optimizer's and the average's state for one set of parameters.
class Sgd {
 public:
  /// The average starts as a copy of the parameters and statistics.
  Sgd(ParameterStore& store, const EmaOptions& ema);

  /// L2 norm of all gradients, summed in double in a fixed order. NaN or infinity if any is.
  double grad_norm() const;
  /// One step; zeroes the gradients and marks the parameters changed.
  void step(const SgdRates& rates);
  void zero_grads();

  /// One-dimensional, laid out as the store's buffers. Checkpoints read and write them.
  const Tensor& momentum() const { return momentum_; }
  const Tensor& ema_values() const { return ema_values_; }
  const Tensor& ema_statistics() const { return ema_statistics_; }
  int64_t ema_updates() const { return updates_; }
  void set_ema_updates(int64_t updates) { updates_ = updates; }

 private:
  ParameterStore& store_;
  EmaOptions ema_;
  Tensor momentum_, ema_values_, ema_statistics_;
  int64_t updates_ = 0;
};

struct SgdKernels {
  void (*step)(float* values, float* grads, float* momentum, float* ema, int64_t n, float lr,
               float mu, float decay, float grad_scale, float ema_keep);
  void (*average)(float* ema, const float* values, int64_t n, float ema_keep);
  /// partial[i] = sum of squares of chunk i
  void (*square_sums)(const float* x, int64_t n, int64_t per_chunk, double* partial);
};
YD_DECLARE_CPU_KERNELS(SgdKernels, sgd_kernels);

}  // namespace ydistill
