// SPDX-License-Identifier: MIT
// The pooling of SPP and SPPF: the input beside its max-pools over 5x5, 9x9 and 13x13 windows.
//
// Windows are centred, stride 1, and reach over the border as if it were minus infinity. A 9x9
// maximum is the 5x5 maximum of the 5x5 maximum, and so on: three cascaded 5x5 pools give all
// three, which is why SPP (v5.0) and SPPF (v6) are the same operation. He et al. 2014 (SPP).
#pragma once

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// x [N,H,W,C] -> [N,H,W,4C]: x, pool 5, pool 9, pool 13.
/// Backward sends each gradient to the maximum of its window (the first in row order among equals),
/// level by level. Forward also of bytes. throws ShapeError, DTypeError.
Var pyramid_pool(const Var& x);

namespace cuda {
/// slices [N,H,W,4C]: pools slice `level` into the next; winners to argmax [N,H,W,C] where defined.
void pool_slice(const Tensor& slices, int level, const Tensor& argmax);
/// grads [N,H,W,4C]: adds to slice `level` what its windows' maxima get from the next slice.
void unpool_slice(const Tensor& grads, int level, const Tensor& argmax);
}  // namespace cuda

template <class T>
struct PyramidPoolKernels {
  /// One 5x5 pool between channel slices of [N,H,W,pitch]: argmax (0..24, dy * 5 + dx) goes to
  /// [N,H,W,channels] unless null.
  void (*pool)(const T* in, T* out, uint8_t* argmax, int64_t batch, int64_t height, int64_t width,
               int64_t channels, int64_t pitch);
  /// grad_in += what each window of grad_out sends to its maximum; same slices.
  void (*unpool)(const T* grad_out, const uint8_t* argmax, T* grad_in, int64_t batch,
                 int64_t height, int64_t width, int64_t channels, int64_t pitch);
};
struct PyramidPoolKernelTable {
  PyramidPoolKernels<float> f32;
  PyramidPoolKernels<double> f64;
  PyramidPoolKernels<BFloat16> bf16;
  PyramidPoolKernels<uint8_t> u8;  // without unpool
};
YD_DECLARE_CPU_KERNELS(PyramidPoolKernelTable, pyramid_pool_kernels);

}  // namespace ydistill
