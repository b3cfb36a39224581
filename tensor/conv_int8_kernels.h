// SPDX-License-Identifier: MIT
// The kernels under conv_int8.h: the direct product of conv_direct_kernels.h, of bytes.
//
// A number of the left factor is four bytes, of neighbouring channels; the product with four signed
// bytes of weights is added to a sum of 32 bits, exactly. CPUs with AVX512_VNNI or AVX-VNNI have an
// instruction for that, the others do with what they have and give the same sums. Zero points never
// enter the product: sums begin at -zero_point sum(weights), and what is read outside of the
// picture is the zero point.
#pragma once

#include <cstdint>

#include <ydistill/tensor/conv_direct_kernels.h>

namespace ydistill {

/// From sums to the output: real = sum multipliers[o] + biases[o], then SiLU and residual, then
/// byte = real / scale + zero_point, rounded to nearest, ties to even, and limited to 0..255.
/// Arrays have a number for each channel of all panels.
struct Int8Scales {
  const float* multipliers;
  const float* biases;
  float y_steps, y_zero;  // 1 / scale, zero point
  float residual_scale, residual_zero;
};

/// DirectConv's for x uint8 with a multiple of 4 channels and y uint8 or, without SiLU and
/// residual, float32. conv.bias has the sums' first values, int32, and conv.scales what follows.
struct Int8ConvKernels {
  /// Bytes that pack() writes.
  int64_t (*packed_size)(const DirectConv& conv);
  /// weights [O,K,K,C] -> [panels][K][K][C/4][channels of a panel][4], then a window's row of the
  /// zero point.
  void (*pack)(const DirectConv& conv, const int8_t* weights, uint8_t zero_point, float* to);
  void (*run)(const DirectConv& conv);
  int64_t (*padded_channels)(const DirectConv& conv);  // of all panels
};
YD_DECLARE_CPU_KERNELS(Int8ConvKernels, int8_conv_kernels);

/// The same by the CPU's instruction, where cpu_has_int8_dots(); null where a level has none.
struct Int8DotKernels {
  void (*run)(const DirectConv& conv);
};
YD_DECLARE_CPU_KERNELS(Int8DotKernels, int8_dot_kernels);

}  // namespace ydistill
