// SPDX-License-Identifier: MIT
// Products of bytes by AMX: the layout of the weights is that of int8_amx_kernels(), everything
// else works as in conv_amx_tiles.h.
#include <ydistill/tensor/conv_amx_tiles.h>
#include <ydistill/tensor/conv_int8_finish.h>
#include <ydistill/tensor/conv_int8_kernels.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

struct QuantizedBytes {
  using Number = uint8_t;
  template <int kSums, int kLeft, int kRight>
  static YD_HOST_DEVICE void multiply(auto& tiles) {
    tiles.template multiply_bytes<kSums, kLeft, kRight>();
  }
  static YD_HOST_DEVICE uint8_t outside(const DirectConv& conv) { return conv.zero_point; }

  template <class Y, bool kSilu, bool kResidual>
  static YD_HOST_DEVICE void finish_some(const DirectConv& conv, Pending& pending, int64_t count) {
    const int64_t end = least(kPixels, pending.done + count);
#if defined(YD_HAVE_PACKED_STEPS)
    if constexpr (kSilu && sizeof(Y) == 1) {
      const int64_t channels = conv.scales->fits_32_bits ? pending.channels : 0;
      if (channels == kChannels) return finish_packed<2, kResidual>(conv, pending, end);
      if (channels == kLanes) return finish_packed<1, kResidual>(conv, pending, end);
    }
#endif
    for (; pending.done < end; ++pending.done) {
      const Place at = pending.at[pending.done];
      if (at.y < 0) continue;
      const float* const sums = pending.sums + pending.done * kChannels;
      Y* const y = static_cast<Y*>(conv.y) + at.y;
      const Y* const residual =
          static_cast<const Y*>(conv.residual) + (kResidual ? at.residual : 0);
      for_each_pack<float>(
          pending.channels, [&](const auto& c) __attribute__((always_inline)) {
            Int8Finish::finish<kSilu, kResidual>(conv, Sums(c.load(sums)), c.after(pending.channel),
                                                 residual, y);
          });
    }
  }

 private:
#if defined(YD_HAVE_PACKED_STEPS)
  /// Finishes the outputs up to `end`, of kColumns vectors each.
  template <int kColumns, bool kResidual>
  static YD_HOST_DEVICE void finish_packed(const DirectConv& conv, Pending& pending, int64_t end) {
    const SiluSteps<kResidual> silu(*conv.scales);
    const uint8_t* const residuals = static_cast<const uint8_t*>(conv.residual);
    uint8_t* const y = static_cast<uint8_t*>(conv.y) + pending.channel;
    for (; pending.done < end; pending.done += 4 / kColumns) {
      const float* const sums = pending.sums + pending.done * kChannels;
      const Place* const at = pending.at + pending.done;
      finish_bytes<kColumns>(
          silu, pending.channel,
          [&](int i, int v) __attribute__((always_inline)) {
            return Sums(load(sums + i * kChannels + v * kLanes));
          },
          [&](int i) __attribute__((always_inline)) {
            return kResidual ? residuals + at[i].residual : nullptr;
          },
          [&](int i, const auto& bytes) __attribute__((always_inline)) {
            if (at[i].y >= 0) __builtin_memcpy(y + at[i].y, &bytes, sizeof(bytes));
          });
    }
  }
#endif
};

int64_t packed_size(const DirectConv& conv) {
  const Cut cut = cut_weights(conv, sizeof(uint8_t));
  return cut.panels * cut.panel_size(conv);
}

void pack(const DirectConv& conv, const int8_t* weights, float* to) {
  const Cut cut = cut_weights(conv, sizeof(uint8_t));
  const int64_t row = conv.kernel_width * conv.in_channels;
  parallel_for(cut.panels * conv.kernel_height, 1, [&](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    int8_t* tile = reinterpret_cast<int8_t*>(to) + i * cut.steps * 2 * cut.tile;
    for (int64_t k = 0; k < cut.steps; ++k) {
      for (int64_t column = 0; column < 2; ++column, tile += cut.tile) {
        const int64_t first = panel * kChannels + column * kTileColumns;
        for (int64_t o = 0; o < kTileColumns; ++o) {
          const bool is_channel = first + o < conv.out_channels;
          const int8_t* const from =
              weights + ((is_channel ? first + o : 0) * conv.kernel_height + p) * row;
          for (int64_t e = 0; e < cut.depth; ++e) {
            const int64_t input = k * cut.depth + e;
            tile[(e / 4 * kTileColumns + o) * 4 + e % 4] =
                is_channel && input < row ? from[input] : int8_t(0);
          }
        }
      }
    }
  });
}

/// Emulated tiles use the same finish_some(), so that it is tested without AMX too.
void run(const DirectConv& conv, int64_t threads, float* scratch) {
#if defined(YD_HAVE_AMX_TILES)
  if (cpu_amx() == Amx::kTiles) return run_with<QuantizedBytes, AmxTiles>(conv, threads, scratch);
#endif
  run_with<QuantizedBytes, PlainTiles>(conv, threads, scratch);
}

int64_t padded_channels(const DirectConv& conv) {
  return ceil_div(conv.out_channels, kChannels) * kChannels;
}

}  // namespace

const Int8ConvKernels& int8_amx_kernels() {
  static const Int8ConvKernels kernels{packed_size, pack, padded_channels,
                                       scratch_size<QuantizedBytes>, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
