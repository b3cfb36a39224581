// SPDX-License-Identifier: MIT
// The kernels of conv_native.h for 3x3 weights: Lavin and Gray, Fast Algorithms for Convolutional
// Neural Networks, 2016. Relative to the definition they need 0.25 (F(4, 3)) or 0.22 (F(5, 3)) of
// the multiplications with stride 1, 0.54 with stride 2.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/weight_view.h>

namespace ydistill {

/// With 3x3 weights and a border of one zero: y = convolution of x, or the gradient of the input of
/// one with stride 2 from that of its output, + bias, then as `silu` and `residual` say. Channels
/// are multiples of 16.
struct WinogradConv {
  DType dtype;    // of x, y and residual: float32 or bfloat16
  const void* x;  // [batch, in_height, in_width, in_channels]
  int64_t batch, in_height, in_width, in_channels, out_height, out_width, out_channels;
  const float* weights;  // as pack() leaves them
  void* y;               // [batch, out_height, out_width, out_channels]
  const float* bias;     // [out_channels] or null
  const void* residual;  // as y, added last, or null
  bool silu;             // y = silu(y)
  float* scratch;
};

/// grad_weights += the gradient of the weights [out_channels, 3, 3, in_channels] of a convolution
/// with stride 1. Channels are multiples of 16.
struct WinogradGrad {
  DType dtype;    // of x and grad_y: float32 or bfloat16
  const void* x;  // [batch, height, width, in_channels]
  int64_t batch, height, width, in_channels, out_channels;
  const void* grad_y;  // [batch, height, width, out_channels]
  float* grad_weights;
  float* scratch;
};

struct WinogradKernels {
  /// Floats that pack() writes, and that run() needs as scratch memory with that many threads.
  int64_t (*packed_size)(const WinogradConv& conv);
  int64_t (*scratch_size)(const WinogradConv& conv, int64_t threads);
  void (*pack)(const WinogradConv& conv, const WeightView& weights, float* to);
  void (*run)(const WinogradConv& conv, int64_t threads);
};

/// The gradient of the input for stride 1 is itself a convolution with stride 1. The wide one, F(5,
/// 3), needs fewer products and has twice the rounding error of F(4, 3).
struct WinogradTable {
  WinogradKernels stride_1, wide_stride_1, stride_2, stride_2_backward;
};
YD_DECLARE_CPU_KERNELS(WinogradTable, winograd_kernels);

struct WinogradGradKernels {
  int64_t (*scratch_size)(const WinogradGrad& grad);  // floats
  void (*run)(const WinogradGrad& grad);
};
YD_DECLARE_CPU_KERNELS(WinogradGradKernels, winograd_grad_kernels);

}  // namespace ydistill
