// SPDX-License-Identifier: MIT
// SGD with Nesterov momentum or AdamW, and the moving average of the weights, as one pass over flat
// buffers.
//
//   s  = min(1, clip_norm / (|g| + 1e-6))    |g|: L2 norm of all gradients; 1 without clipping
//   sgd:
//   g' = s g + decay p    decay: convolution weights only
//   b  = momentum b + g'  the first step's buffer is g' itself
//   p  = p - lr (g' + momentum b)
//   adamw, in step u, counted from 1:
//   b  = momentum b + (1 - momentum) s g
//   v  = 0.999 v + 0.001 (s g)^2
//   p  = (1 - lr decay) p - lr b / (1 - momentum^u) / (sqrt(v / (1 - 0.999^u)) + 1e-8)
//   both:
//   e  = d e + (1 - d) p  d = ema_decay (1 - exp(-u / ema_tau))
//   g  = 0
//
// PyTorch's forms. In sgd, decay is added to the gradient before the momentum, and the rate is
// applied outside the momentum buffer (Sutskever et al. 2013); adamw's decay is separate from the
// gradient (Loshchilov and Hutter 2019). The average is YOLOv5's (ModelEMA), running statistics
// included. Frozen parameters (ParameterGroup::kFrozen) keep their value; their gradients are
// ignored.
//
// If |g| is NaN or infinite, the step is skipped and counted: gradients are zeroed, u advances.
//
// On a GPU everything, including clipping, is computed there and the host never waits. A step then
// has two parts: stage() sends its numbers, launch() runs kernels that read them. launch() can be
// captured in a CUDA graph and replayed after other calls of stage().
#pragma once

#include <array>
#include <cstdint>

#include <ydistill/layers/parameters.h>
#include <ydistill/tensor/cpu_level.h>
#include <ydistill/train/optimizer_math.h>

namespace ydistill {

struct OptimizerRates {
  std::array<double, kNumParameterGroups> lr{};  ///< by ParameterGroup
  double momentum = 0.937;
  double weight_decay = 0;  ///< of ParameterGroup::kDecay
  double clip_norm = 0;     ///< larger gradients are scaled down to this norm; 0: never
};

enum class OptimizerRule { kSgd, kAdamW };

struct EmaOptions {
  double decay = 0.9999;
  double tau = 2000;
};

/// Results of the last step.
struct OptimizerReport {
  double grad_norm = 0;  ///< of all gradients, before clipping
  int64_t skipped = 0;   ///< steps skipped so far, because a gradient was not finite
};

/// The numbers of one step in the form that the kernels take.
struct OptimizerNumbers {
  double clip_norm = 0;
  float lr[kNumParameterGroups] = {};
  float momentum = 0, weight_decay = 0, ema_keep = 0;
  float momentum_correction = 1, squares_correction = 1;
};

/// Where a range of parameters and its state begin.
struct OptimizerBuffers {
  float *values, *grads, *momentum, *squares, *ema;  // squares: null in sgd
};

/// The optimizer's and the average's state for one set of parameters, on their device.
class Optimizer {
 public:
  /// The average starts as a copy of the parameters and statistics.
  Optimizer(ParameterStore& store, const EmaOptions& ema, OptimizerRule rule = OptimizerRule::kSgd);

  /// L2 norm of all gradients except frozen ones, summed in double in a fixed order. NaN or
  /// infinity if any of them is. Waits for the GPU.
  double grad_norm() const;
  /// One step: stage() and launch().
  void step(const OptimizerRates& rates);
  /// Sets the numbers of the next launch() and counts it. Never part of a captured graph.
  void stage(const OptimizerRates& rates);
  /// Steps with the numbers staged last and zeroes the gradients. This and stage() mark the
  /// parameters as changed, so a replayed graph needs no mark of its own.
  void launch();
  /// Of all steps so far; waits for the GPU.
  OptimizerReport report() const;
  void zero_grads();

  /// One-dimensional, laid out as the store's buffers. Checkpoints read and write them.
  const Tensor& momentum() const { return momentum_; }
  const Tensor& squares() const { return squares_; }  ///< undefined in sgd
  const Tensor& ema_values() const { return ema_values_; }
  const Tensor& ema_statistics() const { return ema_statistics_; }
  /// Steps staged so far, including skipped ones.
  int64_t ema_updates() const { return updates_; }
  void set_ema_updates(int64_t updates) { updates_ = updates; }

 private:
  void launch_on_cpu();
  /// Marks the parameters as changed, and the rounded copy of the store as up to date.
  void mark_stepped();
  Tensor trained_grads() const;

  ParameterStore& store_;
  EmaOptions ema_;
  OptimizerRule rule_;
  Tensor momentum_, squares_, ema_values_, ema_statistics_;
  int64_t updates_ = 0;
  OptimizerNumbers numbers_;                 // the CPU's
  OptimizerReport report_;                   // the CPU's
  Tensor staged_, partial_sums_, progress_;  // the GPU's; see cuda::optimizer_launch
};

namespace cuda {
/// An empty buffer for the numbers of a step.
Tensor optimizer_staging(Device device);
/// Writes the numbers in stream order, without waiting.
void optimizer_stage(const OptimizerNumbers& numbers, const Tensor& staged);
/// squares: undefined in sgd; partial_sums: square_sum_room of the trained gradients; progress:
/// float64 [3], see OptimizerProgress in optimizer_cuda.cu.
void optimizer_launch(const ParameterStore& store, const Tensor& momentum, const Tensor& squares,
                      const Tensor& ema_values, const Tensor& ema_statistics, const Tensor& staged,
                      const Tensor& partial_sums, const Tensor& progress);
}  // namespace cuda

struct OptimizerKernels {
  void (*step_sgd)(const OptimizerBuffers& buffers, int64_t n, const OptimizerFactors& factors);
  void (*step_adamw)(const OptimizerBuffers& buffers, int64_t n, const OptimizerFactors& factors);
  void (*average)(float* ema, const float* values, int64_t n, float ema_keep);
};
YD_DECLARE_CPU_KERNELS(OptimizerKernels, optimizer_kernels);

}  // namespace ydistill
