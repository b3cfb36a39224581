// SPDX-License-Identifier: MIT
// Nearest-neighbour upsampling by two.
#pragma once

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// x [N,H,W,C] -> [N,2H,2W,C], each pixel four times. Backward: the sum over the four.
/// Forward also takes bytes.
/// throws ShapeError, DTypeError.
Var upsample2x(const Var& x);

namespace cuda {
void upsample2x(const Tensor& x, const Tensor& out);
void upsample2x_backward(const Tensor& grad_out, const Tensor& grad_x);
}  // namespace cuda

template <class T>
struct UpsampleKernels {
  void (*forward)(const T* x, int64_t rows, int64_t width, int64_t channels, T* out);
  /// grad_x[i,j] = g[2i,2j] + g[2i,2j+1] + g[2i+1,2j] + g[2i+1,2j+1]
  void (*backward)(const T* grad_out, int64_t rows, int64_t width, int64_t channels, T* grad_x);
};
struct UpsampleKernelTable {
  UpsampleKernels<float> f32;
  UpsampleKernels<double> f64;
  UpsampleKernels<BFloat16> bf16;
  UpsampleKernels<uint8_t> u8;  // without backward
};
YD_DECLARE_CPU_KERNELS(UpsampleKernelTable, upsample_kernels);

}  // namespace ydistill
