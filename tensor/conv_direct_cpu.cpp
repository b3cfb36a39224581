// SPDX-License-Identifier: MIT
#include <ydistill/tensor/conv_direct_tiles.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

struct FloatProduct : PlainFinish {
  template <int kColumns>
  static YD_HOST_DEVICE void add(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Vector (&sums)[kPixels][kColumns]) {
    add_products(rows, begin, end, panel, sums);
  }
};

void run(const DirectConv& conv) {
  run_with<FloatProduct, float>(conv);
}

int64_t packed_size(const DirectConv& conv) {
  return packed_numbers(conv);
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  pack_panels<1>(conv, weights, to, [=](const float* from, int64_t channels, float* out) {
    for (int64_t o = 0; o < channels; ++o) out[o] = from[o * weights.out];
    for (int64_t o = channels; o < kPanel; ++o) out[o] = 0;
  });
}

}  // namespace

const DirectConvKernels& direct_conv_kernels() {
  static const DirectConvKernels kernels{packed_size, pack, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
