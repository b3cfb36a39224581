// SPDX-License-Identifier: MIT
// bfloat16 on CPUs that can multiply it: here a "number" is a pair of neighbouring channels.
#include <ydistill/tensor/avx512_bf16.h>
#include <ydistill/tensor/conv_direct_kernels.h>
#include <ydistill/tensor/parallel.h>

#include <type_traits>
#include <utility>

YD_BEGIN_AVX512_BF16;

#include <ydistill/tensor/conv_direct_tiles.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

DirectConv in_pairs(DirectConv conv) {
  conv.in_channels /= 2;
  return conv;
}

#if defined(__AVX512F__)
constexpr bool kKnowsPairs = true;

struct PairProduct : PlainFinish {
  template <int kColumns>
  static YD_HOST_DEVICE void add(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Vector (&sums)[kPixels][kColumns]) {
    const float* row[kPixels];
    for (int i = 0; i < kPixels; ++i) row[i] = rows[i];
    for (int64_t k = begin; k < end; ++k, panel += kPanel) {
      __m512bh w[kColumns];
      for (int v = 0; v < kColumns; ++v) w[v] = __m512bh(load(panel + v * kLanes));
#pragma GCC unroll 12
      for (int i = 0; i < kPixels; ++i) {
        const __m512bh x = __m512bh(_mm512_set1_ps(row[i][k]));
        for (int v = 0; v < kColumns; ++v) {
          sums[i][v] = Vector(_mm512_dpbf16_ps(__m512(sums[i][v]), w[v], x));
        }
      }
    }
  }
};

void run(const DirectConv& conv) {
  const DirectConv pairs = in_pairs(conv);
  // Outputs in float32, such as logits, never have SiLU.
  conv.y_dtype == DType::kFloat32 ? run_as<PairProduct, float, false, false>(pairs)
                                  : run_with<PairProduct, BFloat16>(pairs);
}
#else
constexpr bool kKnowsPairs = false;

void run(const DirectConv&) {}
#endif

int64_t packed_size(const DirectConv& conv) {
  return packed_numbers(in_pairs(conv));
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  pack_panels<2>(in_pairs(conv), weights, to, [=](const float* from, int64_t channels, float* out) {
    BFloat16 numbers[2 * kPanel] = {};
    for (int64_t o = 0; o < channels; ++o) {
      numbers[2 * o] = BFloat16(from[o * weights.out]);
      numbers[2 * o + 1] = BFloat16(from[o * weights.out + weights.in]);
    }
    __builtin_memcpy(out, numbers, sizeof(numbers));
  });
}

}  // namespace

const PairConvKernels& pair_conv_kernels() {
  static const PairConvKernels kernels{{packed_size, pack, run}, kKnowsPairs};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL

YD_END_AVX512_BF16;
