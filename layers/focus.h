// SPDX-License-Identifier: MIT
// From uint8 pictures to the network's input in one pass.
#pragma once

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// Focus slicing and scaling: images uint8 [N,H,W,3] RGB, H and W even -> [N,H/2,W/2,12], / 255;
/// with dtype uint8 the values are not scaled.
/// Channels: the four half-size slices (even row, even column), (odd, even), (even, odd),
/// (odd, odd), each R G B, as YOLOv5 v5.0's Focus concatenates them.
///
/// The 6x6 stride-2 stem of v6+ computes the same sums as Focus and a 3x3 convolution with permuted
/// weights (see stem_weight_to_focus), so both graphs share this input.
/// throws ShapeError, DTypeError.
Tensor focus_input(const Tensor& images, DType dtype = DType::kFloat32);

/// Scaling alone: uint8 [N,H,W,3] -> [N,H,W,3], / 255; not with dtype uint8.
Tensor scaled_input(const Tensor& images, DType dtype = DType::kFloat32);

/// Weight of a 6x6 stride-2 padding-2 convolution on 3 channels, [O,6,6,3], as the weight of the
/// 3x3 stride-1 padding-1 convolution on focus_input that gives the same sums, [O,3,3,12]:
///   w12[o, p, q, slice(r, s) 3 + c] = w6[o, 2p + r, 2q + s, c],  slice(r, s) = r + 2 s
Tensor stem_weight_to_focus(const Tensor& weight_6x6);
/// The inverse, for any odd k: [O,k,k,12] of a convolution with padding k/2 on focus_input becomes
/// [O,2k,2k,3] with stride 2 and padding 2 (k/2).
Tensor stem_weight_from_focus(const Tensor& weight_focus);

namespace cuda {
void focus_input(const Tensor& images, const Tensor& out);
void scaled_input(const Tensor& images, const Tensor& out);
}  // namespace cuda

template <class T>
struct FocusKernels {
  void (*focus)(const uint8_t* images, int64_t batch, int64_t height, int64_t width, T* out);
  void (*scale)(const uint8_t* images, int64_t n, T* out);
};
struct FocusKernelTable {
  FocusKernels<float> f32;
  FocusKernels<double> f64;
  FocusKernels<BFloat16> bf16;
  FocusKernels<uint8_t> u8;
};
YD_DECLARE_CPU_KERNELS(FocusKernelTable, focus_kernels);

}  // namespace ydistill
