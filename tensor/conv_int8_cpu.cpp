// SPDX-License-Identifier: MIT
// int8 products for CPUs that have no instruction for four products of bytes.
#include <ydistill/tensor/conv_int8_product.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

/// Bytes 0 and 2 (even), or 1 and 3 (odd), of each 32-bit number, as two numbers of 16 bits. The
/// sum of two products of bytes does not fit into 16 bits, so it is formed in 32.
#if defined(__AVX512F__)
using Shorts = __m512i;
YD_HOST_DEVICE Shorts even_unsigned(Shorts x) {
  return _mm512_and_si512(x, _mm512_set1_epi32(0x00ff00ff));
}
YD_HOST_DEVICE Shorts odd_unsigned(Shorts x) {
  return _mm512_srli_epi16(x, 8);
}
YD_HOST_DEVICE Shorts even_signed(Shorts w) {
  return _mm512_srai_epi16(_mm512_slli_epi16(w, 8), 8);
}
YD_HOST_DEVICE Shorts odd_signed(Shorts w) {
  return _mm512_srai_epi16(w, 8);
}
YD_HOST_DEVICE Sums products(Shorts x, Shorts w) {
  return Sums(_mm512_madd_epi16(x, w));
}
#elif defined(__AVX2__)
using Shorts = __m256i;
YD_HOST_DEVICE Shorts even_unsigned(Shorts x) {
  return _mm256_and_si256(x, _mm256_set1_epi32(0x00ff00ff));
}
YD_HOST_DEVICE Shorts odd_unsigned(Shorts x) {
  return _mm256_srli_epi16(x, 8);
}
YD_HOST_DEVICE Shorts even_signed(Shorts w) {
  return _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8);
}
YD_HOST_DEVICE Shorts odd_signed(Shorts w) {
  return _mm256_srai_epi16(w, 8);
}
YD_HOST_DEVICE Sums products(Shorts x, Shorts w) {
  return Sums(_mm256_madd_epi16(x, w));
}
#else
using Shorts = Sums;
YD_HOST_DEVICE Shorts even_unsigned(Shorts x) {
  return x & 0x00ff00ff;
}
YD_HOST_DEVICE Shorts odd_unsigned(Shorts x) {
  return Shorts(Bits(x) >> 8) & 0x00ff00ff;
}
YD_HOST_DEVICE Shorts even_signed(Shorts w) {
  return w;
}
YD_HOST_DEVICE Shorts odd_signed(Shorts w) {
  return Shorts(Bits(w) >> 8);
}
/// Multiplies by the bytes 0 and 2 of w.
YD_HOST_DEVICE Sums products(Shorts x, Shorts w) {
  const Sums low = Sums(Bits(w) << 24) >> 24, high = Sums(Bits(w) << 8) >> 24;
  return (x & 0xff) * low + (x >> 16) * high;
}
#endif

struct BySixteenBits {
  struct Left {
    Shorts even, odd;
  };
  using Right = Left;
  static YD_HOST_DEVICE Left left(int32_t four) {
    const Shorts x = Shorts(Sums{} + four);
    return {even_unsigned(x), odd_unsigned(x)};
  }
  static YD_HOST_DEVICE Right right(const Sums& fours) {
    return {even_signed(Shorts(fours)), odd_signed(Shorts(fours))};
  }
  static YD_HOST_DEVICE Sums add(const Sums& sum, const Left& x, const Right& w) {
    return sum + products(x.even, w.even) + products(x.odd, w.odd);
  }
};

int64_t packed_size(const DirectConv& conv) {
  return packed_numbers(in_fours(conv)) * int64_t(sizeof(float));
}

void pack(const DirectConv& conv, const int8_t* weights, float* to) {
  const int64_t channels_in = conv.in_channels;
  const int64_t window = conv.kernel_height * conv.kernel_width * channels_in;
  const int64_t panels = panels_of(conv), row = conv.kernel_width * channels_in;
  int8_t* const out = reinterpret_cast<int8_t*>(to);
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t k = 0; k < window; ++k) {
      int8_t* const fours = out + ((panel * window + k / 4 * 4) * kPanel) + k % 4;
      for (int64_t o = 0; o < kPanel; ++o) {
        const int64_t channel = panel * kPanel + o;
        fours[4 * o] = channel < conv.out_channels ? weights[channel * window + k] : int8_t(0);
      }
    }
  }
  uint8_t* const outside = reinterpret_cast<uint8_t*>(to) + panels * window * kPanel;
  for (int64_t k = 0; k < row; ++k) outside[k] = conv.zero_point;
}

int64_t padded_channels(const DirectConv& conv) {
  return panels_of(conv) * kPanel;
}

}  // namespace

const Int8ConvKernels& int8_conv_kernels() {
  static const Int8ConvKernels kernels{packed_size, pack, padded_channels,
                                       [](const DirectConv&, int64_t) -> int64_t { return 0; },
                                       run_int8<BySixteenBits>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
