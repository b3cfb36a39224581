// SPDX-License-Identifier: MIT
// The pooling of SPP and SPPF: the input and its max-pools over three windows, usually 5x5, 9x9 and
// 13x13, side by side.
//
// Windows are centred, stride 1; beyond the border the input counts as minus infinity. A 9x9
// maximum is the 5x5 maximum of the 5x5 maximum, and so on: three cascaded pools of one window give
// all three, which is why SPP (v5.0) and SPPF (v6) are the same operation. He et al. 2014 (SPP).
#pragma once

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

/// Largest side of the window that is cascaded.
inline constexpr int64_t kMaxPoolWindow = 15;

/// x [N,H,W,C] -> [N,H,W,4C]: x and its pools over windows of side k, 2k - 1 and 3k - 2, where k =
/// window is odd, 3..kMaxPoolWindow.
/// Backward sends each gradient to the maximum of its window (the first in row order among equals),
/// level by level. Forward also takes bytes. throws ShapeError, DTypeError; ValueError for a
/// window.
Var pyramid_pool(const Var& x, int64_t window = 5);

/// A pool from one slice of channels into the next, in a tensor [batch,height,width,pitch].
struct PoolSlice {
  int64_t batch, height, width;
  int64_t channels;  ///< of a slice
  int64_t pitch;     ///< numbers from one pixel to the next
  int64_t radius;    ///< of the window, (k - 1) / 2
};

namespace cuda {
/// slices [N,H,W,4C]: pools slice `level` into the next; positions of the maxima go to argmax
/// [N,H,W,C] where defined.
void pool_slice(const Tensor& slices, int level, int64_t radius, const Tensor& argmax);
/// grads [N,H,W,4C]: adds the gradients of the next slice to the maxima of their windows in slice
/// `level`.
void unpool_slice(const Tensor& grads, int level, int64_t radius, const Tensor& argmax);
}  // namespace cuda

template <class T>
struct PyramidPoolKernels {
  /// argmax: position in the window, dy k + dx, to [N,H,W,channels] unless null.
  void (*pool)(const T* in, T* out, uint8_t* argmax, const PoolSlice& slice);
  /// grad_in += the gradient that each window of grad_out sends to its maximum; same slices.
  void (*unpool)(const T* grad_out, const uint8_t* argmax, T* grad_in, const PoolSlice& slice);
};
struct PyramidPoolKernelTable {
  PyramidPoolKernels<float> f32;
  PyramidPoolKernels<double> f64;
  PyramidPoolKernels<BFloat16> bf16;
  PyramidPoolKernels<uint8_t> u8;  // without unpool
};
YD_DECLARE_CPU_KERNELS(PyramidPoolKernelTable, pyramid_pool_kernels);

}  // namespace ydistill
