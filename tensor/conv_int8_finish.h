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

YD_HOST_DEVICE DirectConv in_fours(DirectConv conv) {
  conv.in_channels /= 4;
  return conv;
}

template <class Product>
void run_int8(const DirectConv& conv) {
  const DirectConv fours = in_fours(conv);
  conv.y_dtype == DType::kFloat32 ? run_as<Product, float, false, false>(fours)
                                  : run_with<Product, uint8_t>(fours);
}

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
