// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): what the two kinds of kernels of conv_int8_kernels.h share.
#pragma once

#include <ydistill/tensor/conv_direct_tiles.h>
#include <ydistill/tensor/conv_int8_kernels.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

using Sums [[gnu::vector_size(kLanes * sizeof(int32_t))]] = int32_t;

/// In memory sums are floats of the same bits.
struct Int8Finish {
  using Sum = Sums;
  template <bool kSilu, bool kResidual, class Y>
  static YD_HOST_DEVICE void finish(const DirectConv& conv, const Sums& sum, const auto& at,
                                    const Y* residual, Y* y) {
    const Int8Scales& scales = *conv.scales;
    Vector value =
        __builtin_convertvector(sum, Vector) * at.load(scales.multipliers) + at.load(scales.biases);
    // A step of 1/256 of the range hides what sigmoid_bf16 is off by.
    if constexpr (kSilu) value = value * sigmoid_bf16(value);
    if constexpr (kResidual) {
      value += (at.load(residual) - scales.residual_zero) * scales.residual_scale;
    }
    if constexpr (sizeof(Y) == 1) value = value * scales.y_steps + scales.y_zero;
    at.store(value, y);
  }
};

/// A Product of conv_direct_tiles.h by a Dot, which says how a CPU multiplies fours of bytes:
///
///   Left, left(four)       four unsigned bytes, in every lane
///   Right, right(fours)    four signed bytes a lane
///   add(sum, left, right)  sum + the products of each lane
template <class Dot>
struct Int8Product : Int8Finish {
  template <int kColumns>
  static YD_HOST_DEVICE void add(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Sums (&sums)[kPixels][kColumns]) {
    const float* row[kPixels];
    for (int i = 0; i < kPixels; ++i) row[i] = rows[i];
    for (int64_t k = begin; k < end; ++k, panel += kPanel) {
      typename Dot::Right w[kColumns];
      for (int v = 0; v < kColumns; ++v) w[v] = Dot::right(Sums(load(panel + v * kLanes)));
#pragma GCC unroll 12
      for (int i = 0; i < kPixels; ++i) {
        int32_t four;
        __builtin_memcpy(&four, row[i] + k, sizeof(four));
        const typename Dot::Left x = Dot::left(four);
        for (int v = 0; v < kColumns; ++v) sums[i][v] = Dot::add(sums[i][v], x, w[v]);
      }
    }
  }
};

YD_HOST_DEVICE DirectConv in_fours(DirectConv conv) {
  conv.in_channels /= 4;
  return conv;
}

template <class Dot>
void run_int8(const DirectConv& conv) {
  using Product = Int8Product<Dot>;
  const DirectConv fours = in_fours(conv);
  conv.y_dtype == DType::kFloat32 ? run_as<Product, float, false, false>(fours)
                                  : run_with<Product, uint8_t>(fours);
}

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
