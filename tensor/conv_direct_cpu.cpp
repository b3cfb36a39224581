// SPDX-License-Identifier: MIT
#include <ydistill/tensor/conv_direct_tiles.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

struct FloatProduct {
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
  const int64_t panels = panels_of(conv);
  return panels * kPanel * products_of(conv) + conv.kernel_width * conv.in_channels;
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  const int64_t products = products_of(conv);
  const int64_t panels = panels_of(conv);
  parallel_for(panels * conv.kernel_height, 1, [=](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    const int64_t first = panel * kPanel, channels = least(kPanel, conv.out_channels - first);
    for (int64_t q = 0; q < conv.kernel_width; ++q) {
      const float* from = weights.base + first * weights.out + p * weights.row + q * weights.column;
      float* out =
          to + panel * products * kPanel + (p * conv.kernel_width + q) * conv.in_channels * kPanel;
      for (int64_t c = 0; c < conv.in_channels; ++c, out += kPanel) {
        for (int64_t o = 0; o < channels; ++o) out[o] = from[o * weights.out + c * weights.in];
        for (int64_t o = channels; o < kPanel; ++o) out[o] = 0;
      }
    }
  });
  float* zeros = to + panels * products * kPanel;
  for (int64_t i = 0; i < conv.kernel_width * conv.in_channels; ++i) zeros[i] = 0;
}

}  // namespace

const DirectConvKernels& direct_conv_kernels() {
  static const DirectConvKernels kernels{packed_size, pack, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
