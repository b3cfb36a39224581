// SPDX-License-Identifier: MIT
// The kernels of conv_int8.h: the direct product of conv_direct_kernels.h, for bytes.
//
// An element of the left factor is four bytes, of neighbouring channels; their products with four
// signed bytes of weights are added exactly to an int32 sum. CPUs with AVX512_VNNI or AVX-VNNI have
// an instruction for that, others use several and give the same sums. Zero points are not part of
// the product: sums begin at -zero_point sum(weights), and pixels outside the picture are the zero
// point.
#pragma once

#include <cstdint>

#include <ydistill/tensor/conv_direct_kernels.h>

namespace ydistill {

inline constexpr int kSiluPieces = 32;

/// From sums to the output: real = sum multipliers[o] + biases[o], then SiLU and residual, then
/// byte = real / scale + zero_point, rounded to nearest, ties to even, and limited to 0..255.
/// Arrays have a number for each channel of all panels.
struct Int8Scales {
  const float* multipliers;
  const float* biases;
  float y_steps, y_zero;  // 1 / scale, zero point
  // silu(real) / scale + zero_point is silu[0][i] + silu[1][i] t + silu[2][i] t^2 on piece i, where
  // t = sum multipliers[o] + silu_biases[o] is counted from the middle of all pieces. Piece i
  // begins at t = (i - kSiluPieces / 2) / silu_pieces, but the first and the last one reach on to
  // infinity.
  float silu[3][kSiluPieces];
  const float* silu_biases;
  float silu_pieces, silu_limit;        // in a unit of t, and the largest t inside
  float residual_steps, residual_zero;  // of y in one of the residual's, zero point
  bool fits_32_bits;                    // whatever the sums, no output has 2^31 steps
};

/// DirectConv's for x uint8 with a multiple of 4 channels and y uint8 or, without SiLU and
/// residual, float32. conv.bias has the sums' first values, int32, and conv.scales what follows.
struct Int8ConvKernels {
  /// Bytes that pack() writes.
  int64_t (*packed_size)(const DirectConv& conv);
  /// weights [O,K,K,C] -> [panels][K][K][C/4][channels of a panel][4], then a window's row of the
  /// zero point.
  void (*pack)(const DirectConv& conv, const int8_t* weights, float* to);
  int64_t (*padded_channels)(const DirectConv& conv);  // of all panels
  /// Floats of scratch memory that run() needs with that many threads.
  int64_t (*scratch_size)(const DirectConv& conv, int64_t threads);
  void (*run)(const DirectConv& conv, int64_t threads, float* scratch);
};
YD_DECLARE_CPU_KERNELS(Int8ConvKernels, int8_conv_kernels);

/// The same by AMX, as conv_amx_kernels.h has it, with weights laid out in its order: [panels of 32
/// channels][K][steps][2][fours of inputs][16 channels][4]. Emulated unless cpu_amx() is
/// Amx::kTiles.
YD_DECLARE_CPU_KERNELS(Int8ConvKernels, int8_amx_kernels);

/// The same by the CPU's instruction, where cpu_has_int8_dots(); null where a level has none.
struct Int8DotKernels {
  void (*run)(const DirectConv& conv, int64_t threads, float* scratch);
};
YD_DECLARE_CPU_KERNELS(Int8DotKernels, int8_dot_kernels);

}  // namespace ydistill
