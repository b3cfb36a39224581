// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/weight_layouts.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlock = 16;

/// Two bfloat16 side by side in memory, `first` at the lower address.
YD_HOST_DEVICE uint32_t pair_of(float first, float second) {
  return uint32_t(BFloat16(first).bits) | uint32_t(BFloat16(second).bits) << 16;
}

void pack_pairs_of_inputs(const float* weights, int64_t out_channels, int64_t taps,
                          int64_t in_channels, int64_t block, BFloat16* to) {
  parallel_for(out_channels / block * taps, 1, [=](int64_t i) {
    const int64_t first_out = i / taps * block, tap = i % taps;
    uint32_t* const out = reinterpret_cast<uint32_t*>(to) + i * (in_channels / 2) * block;
    for (int64_t o = 0; o < block; ++o) {
      const float* from = weights + ((first_out + o) * taps + tap) * in_channels;
      for (int64_t c = 0; c < in_channels; c += kBlock) {
        BFloat16 rounded[kBlock];
        for (int64_t k = 0; k < kBlock; ++k) rounded[k] = BFloat16(from[c + k]);
        uint32_t pairs[kBlock / 2];
        __builtin_memcpy(pairs, rounded, sizeof(pairs));
        for (int64_t k = 0; k < kBlock / 2; ++k) out[(c / 2 + k) * block + o] = pairs[k];
      }
    }
  });
}

void pack_pairs_of_outputs(const float* weights, int64_t out_channels, int64_t taps,
                           int64_t in_channels, bool inputs_first, BFloat16* to) {
  const int64_t out_blocks = out_channels / kBlock, in_blocks = in_channels / kBlock;
  parallel_for(out_blocks, 1, [=](int64_t o) {
    for (int64_t tap = 0; tap < taps; ++tap) {
      for (int64_t pair = 0; pair < kBlock / 2; ++pair) {
        const float* from = weights + ((o * kBlock + 2 * pair) * taps + tap) * in_channels;
        const float* next = from + taps * in_channels;
        for (int64_t c = 0; c < in_blocks; ++c) {
          const int64_t at = inputs_first ? c * out_blocks + o : o * in_blocks + c;
          uint32_t* out =
              reinterpret_cast<uint32_t*>(to) + ((at * taps + tap) * (kBlock / 2) + pair) * kBlock;
          const float *a = from + c * kBlock, *b = next + c * kBlock;
#pragma GCC ivdep
          for (int64_t k = 0; k < kBlock; ++k) out[k] = pair_of(a[k], b[k]);
        }
      }
    }
  });
}

void add_unpacked(const float* blocks, int64_t out_channels, int64_t taps, int64_t in_channels,
                  float* to) {
  const int64_t in_blocks = in_channels / kBlock;
  parallel_for(out_channels / kBlock, 1, [=](int64_t o) {
    for (int64_t c = 0; c < in_blocks; ++c) {
      for (int64_t tap = 0; tap < taps; ++tap) {
        const float* from = blocks + ((o * in_blocks + c) * taps + tap) * kBlock * kBlock;
        for (int64_t row = 0; row < kBlock; ++row) {
          float* sum = to + ((o * kBlock + row) * taps + tap) * in_channels + c * kBlock;
#pragma GCC ivdep
          for (int64_t k = 0; k < kBlock; ++k) sum[k] += from[k * kBlock + row];
        }
      }
    }
  });
}

}  // namespace

const WeightLayoutKernels& weight_layout_kernels() {
  static const WeightLayoutKernels kernels{pack_pairs_of_inputs, pack_pairs_of_outputs,
                                           add_unpacked};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
