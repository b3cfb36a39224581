// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): what the two kinds of kernels of conv_int8_kernels.h share.
#pragma once

#include <ydistill/tensor/conv_direct_tiles.h>
#include <ydistill/tensor/conv_int8_finish.h>
#include <ydistill/tensor/conv_int8_kernels.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

/// A Product of conv_direct_tiles.h by a Dot, which says how a CPU multiplies fours of bytes:
///
///   Left, left(four)       four unsigned bytes, in every lane
///   Right, right(fours)    four signed bytes a lane
///   add(sum, left, right)  sum + the products of each lane
template <class Dot>
struct Int8Product : Int8Finish {
  template <bool kSilu, bool kResidual, int kColumns, class Y>
  static YD_HOST_DEVICE void finish_tile(const DirectConv& conv,
                                         const Sums (&sums)[kPixels][kColumns], int64_t channel,
                                         const Y* const (&residual)[kPixels],
                                         Y* const (&y)[kPixels]) {
#if defined(YD_HAVE_PACKED_STEPS)
    if constexpr (kSilu && sizeof(Y) == 1) {
      if (conv.scales->fits_32_bits) {
        const SiluSteps<kResidual> silu(*conv.scales);
        constexpr int kOutputs = 4 / kColumns;
#pragma GCC unroll 12
        for (int i = 0; i < kPixels; i += kOutputs) {
          finish_bytes<kColumns>(
              silu,
              channel, [&](int k, int v) __attribute__((always_inline)) { return sums[i + k][v]; },
              [&](int k) __attribute__((always_inline)) { return residual[i + k]; },
              [&](int k, const auto& bytes) __attribute__((always_inline)) {
                __builtin_memcpy(y[i + k] + channel, &bytes, sizeof(bytes));
              });
        }
        return;
      }
    }
#endif
    finish_each<Int8Finish, kSilu, kResidual>(conv, sums, channel, residual, y);
  }
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
void run_int8(const DirectConv& conv, int64_t, float*) {
  using Product = Int8Product<Dot>;
  const DirectConv fours = in_fours(conv);
  conv.y_dtype == DType::kFloat32 ? run_as<Product, float, false, false>(fours)
                                  : run_with<Product, uint8_t>(fours);
}

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
