// SPDX-License-Identifier: MIT
// Batch normalisation, SiLU and an optional residual in one operation (training).
//
//   mean_c, var_c = over all N H W of channel c          (var biased)
//   x^ = (y - mean) / sqrt(var + eps)
//   z  = gamma x^ + beta
//   out = silu(z) + residual
//
// Two passes forward (statistics, apply) and two backward; only y is kept. Ioffe & Szegedy 2015. On
// the CPU, with a tape that keeps the least, ops that read `out` backward recompute it.
#pragma once

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct BatchNormOptions {
  double eps = 1e-3;       ///< YOLOv5's, not PyTorch's default 1e-5
  double momentum = 0.03;  ///< running = (1 - momentum) running + momentum batch
};

/// y                    [N,H,W,C], the convolution's output: float32, on the CPU also float64, or
///                      bfloat16 with all [C] tensors in float32
/// gamma, beta          [C] leaves; gradients are added into their buffers
/// running_mean, _var   [C], updated in place; running_var from the unbiased variance
/// residual             [N,H,W,C] or an undefined Var; its gradient is grad_out itself
/// returns              [N,H,W,C]
/// throws ShapeError, DTypeError; ValueError where a channel has a single value (no variance)
Var batch_norm_silu(const Var& y, const Var& gamma, const Var& beta, const Tensor& running_mean,
                    const Tensor& running_var, const BatchNormOptions& options,
                    const Var& residual = {});

/// x = silu(x) + residual in place, for inference. x [.., C]; residual of the same shape and dtype
/// or undefined.
void silu_inplace(const Tensor& x, const Tensor& residual);

/// What the backward pass needs of the forward pass, each [C]. On the CPU inv_std is float64 and
/// the others have gamma's dtype; on a GPU all are float32.
struct BatchNormSaved {
  Tensor scale, offset, mean, inv_std;
};

namespace cuda {
/// Writes out, updates the running statistics. residual may be undefined.
BatchNormSaved batch_norm_silu(const Tensor& y, const Tensor& gamma, const Tensor& beta,
                               const Tensor& running_mean, const Tensor& running_var,
                               const BatchNormOptions& options, const Tensor& residual,
                               const Tensor& out);
/// Adds to grad_gamma and grad_beta where defined; grad_y may be grad_out.
void batch_norm_silu_backward(const Tensor& grad_out, const Tensor& y, const BatchNormSaved& saved,
                              const Tensor& grad_gamma, const Tensor& grad_beta,
                              const Tensor& grad_y);
void silu_inplace(const Tensor& x, const Tensor& residual);
}  // namespace cuda

/// Loops over rows x channels, channels fastest. Sums go to partial[chunk][2][channels], one chunk
/// per `rows_per_chunk` rows, so that their order never depends on threads. T: type of the
/// activations; A: of the [channels] arrays.
template <class T, class A = Arithmetic<T>>
struct BatchNormKernels {
  /// sum (y - shift), sum (y - shift)^2; shift is one row, against cancellation with large means
  void (*sums)(const T* y, const T* shift, int64_t rows, int64_t channels, int64_t rows_per_chunk,
               double* partial);
  /// out = silu(scale y + offset) + residual (may be null)
  void (*apply)(const T* y, const A* scale, const A* offset, const T* residual, int64_t rows,
                int64_t channels, T* out);
  /// dz = grad_out silu'(scale y + offset): sum dz, sum dz (y - mean). Writes dz where it is not
  /// null; it may be grad_out.
  void (*grad_sums)(const T* grad_out, const T* y, const A* scale, const A* offset, const A* mean,
                    int64_t rows, int64_t channels, int64_t rows_per_chunk, double* partial, T* dz);
  /// grad_y = scale dz + slope (y - mean) + intercept; dz is recomputed from grad_out, or is
  /// grad_out where `has_dz`.
  void (*grad_input)(const T* grad_out, bool has_dz, const T* y, const A* scale, const A* offset,
                     const A* mean, const A* slope, const A* intercept, int64_t rows,
                     int64_t channels, T* grad_y);
  void (*silu)(T* x, const T* residual, int64_t n);
};

struct BatchNormKernelTable {
  BatchNormKernels<float> f32;
  BatchNormKernels<double> f64;
  BatchNormKernels<BFloat16> bf16;
};
YD_DECLARE_CPU_KERNELS(BatchNormKernelTable, batch_norm_kernels);

}  // namespace ydistill
