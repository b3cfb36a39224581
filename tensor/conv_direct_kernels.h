// SPDX-License-Identifier: MIT
// The kernel of conv_native.h for any kernel size and stride.
//
// A convolution is a matrix product whose left factor is never materialised: the rows of that
// matrix are windows of the picture, and a window's row is a run of kernel_width * in_channels
// numbers that are contiguous in NHWC. A micro-kernel multiplies the windows of a few pixels with a
// panel of output channels and keeps the sums in registers (as Dukhan, The Indirect Convolution
// Algorithm, 2019, does with a table of pointers). The gradient of the input is the same product
// with the taps reversed; with a stride s it is s * s products, one for each position of a pixel in
// the stride's grid, each with the taps that reach such pixels.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/weight_view.h>

namespace ydistill {

/// One product: y[n,i,j,o] = sum_{p,q,c} x[n, i stride + p - top, j stride + q - left, c]
/// w[o,p,q,c] + bias[o], then as `silu` and `residual` say. Outside of x there are zeros, of bytes
/// the zero point.
struct DirectConv {
  DType x_dtype, y_dtype;  // float32; or bfloat16 and then either; or uint8, conv_int8_kernels.h
  const void* x;           // [batch, in_height, in_width, in_channels]
  int64_t batch, in_height, in_width, in_channels;
  int64_t kernel_height, kernel_width, stride, top, left;
  const float* weights;  // as pack() leaves them
  int64_t out_height, out_width, out_channels;
  void* y;                                     // and where the next picture, row, pixel begins,
  int64_t picture_step, row_step, pixel_step;  // in numbers
  const float* bias;                           // [out_channels] or null
  // Of y's type, added last, or null: dense [batch, out_height, out_width, out_channels].
  // WidenedConvKernels want a y beside it that is dense too.
  const void* residual;
  bool silu;  // y = silu(y)
  // conv_int8_kernels.h; only beside an x of uint8
  const struct Int8Scales* scales = {};
  uint8_t zero_point = 0;
};

/// Whether each output's window is the single input pixel at the same position.
YD_HOST_DEVICE bool reads_single_pixels(const DirectConv& conv) {
  return conv.kernel_height * conv.kernel_width == 1 && conv.stride == 1 && conv.top == 0 &&
         conv.left == 0 && conv.out_height == conv.in_height && conv.out_width == conv.in_width;
}
/// Whether the outputs of all pictures are pixel_step apart.
YD_HOST_DEVICE bool writes_evenly(const DirectConv& conv) {
  return conv.row_step == conv.out_width * conv.pixel_step &&
         conv.picture_step == conv.out_height * conv.row_step;
}

struct DirectConvKernels {
  /// Floats that pack() writes.
  int64_t (*packed_size)(const DirectConv& conv);
  /// weights -> [panels][kernel_height][kernel_width][in_channels][channels of a panel], then a
  /// window's row of zeros.
  void (*pack)(const DirectConv& conv, const WeightView& weights, float* to);
  /// For an x of float32.
  void (*run)(const DirectConv& conv);
};
YD_DECLARE_CPU_KERNELS(DirectConvKernels, direct_conv_kernels);

/// For an x of bfloat16 with an even number of channels, where cpu_has_fast_bf16_pairs(). Weights
/// are rounded to bfloat16, [panels][kernel_height][kernel_width][pairs of in_channels][channels of
/// a panel][2], then a window's row of zeros.
struct PairConvKernels : DirectConvKernels {
  bool knows_pairs;
};
YD_DECLARE_CPU_KERNELS(PairConvKernels, pair_conv_kernels);

/// For an x of bfloat16 elsewhere; weights as DirectConvKernels::pack() leaves them.
struct WidenedConvKernels {
  /// Floats of scratch memory that run() needs with that many threads.
  int64_t (*scratch_size)(const DirectConv& conv, int64_t threads);
  void (*run)(const DirectConv& conv, int64_t threads, float* scratch);
};
YD_DECLARE_CPU_KERNELS(WidenedConvKernels, widened_conv_kernels);

/// The largest kernel, pixels on a side.
inline constexpr int64_t kMaxDirectKernel = 6;

}  // namespace ydistill
