// SPDX-License-Identifier: MIT
#include <ydistill/tensor/amx_tiles.h>
#include <ydistill/tensor/avx512_bf16.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/parallel.h>

#include <type_traits>
#include <utility>

YD_BEGIN_AVX512_BF16;  // which every CPU with AMX has

#include <ydistill/tensor/conv_amx_tiles.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

struct Halves {
  using Number = BFloat16;
  template <int kSums, int kLeft, int kRight>
  static YD_HOST_DEVICE void multiply(auto& tiles) {
    tiles.template multiply<kSums, kLeft, kRight>();
  }
  static YD_HOST_DEVICE uint8_t outside(const DirectConv&) { return 0; }

  template <class Y, bool kSilu, bool kResidual>
  static YD_HOST_DEVICE void finish_some(const DirectConv& conv, Pending& pending, int64_t count) {
    const int64_t end = least(kPixels, pending.done + count);
    for (; pending.done < end; ++pending.done) {
      const Place at = pending.at[pending.done];
      if (at.y < 0) continue;
      const float* const sums = pending.sums + pending.done * kChannels;
      Y* const y = static_cast<Y*>(conv.y) + (at.y + pending.channel);
      const Y* residual = static_cast<const Y*>(conv.residual);
      if constexpr (kResidual) residual += at.residual + pending.channel;
      if (pending.channels == kChannels) {
        finish_whole<kSilu, kResidual>(sums, residual, y);
      } else {
        finish_channels<kSilu, kResidual>(sums, residual, pending.channels, y);
      }
    }
  }

 private:
  /// The same as finish_channels() with kChannels channels.
  template <bool kSilu, bool kResidual, class Y>
  static YD_HOST_DEVICE void finish_whole(const float* sums, const Y* residual, Y* y) {
#if defined(YD_AVX512_BF16)
    // Rounds two vectors with one instruction.
    if constexpr (std::is_same_v<Y, BFloat16>) {
      Vector values[2];
      for (int i = 0; i < 2; ++i) {
        values[i] = load(sums + i * kLanes);
        if constexpr (kSilu) values[i] = silu_for<Y>(values[i]);
        if constexpr (kResidual) values[i] += load(residual + i * kLanes);
      }
      const __m512bh both = _mm512_cvtne2ps_pbh(__m512(values[1]), __m512(values[0]));
      __builtin_memcpy(static_cast<void*>(y), &both, sizeof(both));
      return;
    }
#endif
    finish_channels<kSilu, kResidual>(sums, residual, kChannels, y);
  }
};

void run(const DirectConv& conv, int64_t threads, float* scratch) {
#if defined(YD_HAVE_AMX_TILES)
  run_with<Halves, AmxTiles>(conv, threads, scratch);
#else
  run_with<Halves, PlainTiles>(conv, threads, scratch);
#endif
}

int64_t packed_size(const DirectConv& conv) {
  const Cut cut = cut_weights(conv, sizeof(BFloat16));
  return cut.panels * cut.panel_size(conv) / int64_t(sizeof(float));
}

/// Packs one tile of weights, [pairs of inputs][16 outputs][2]: inputs [first, first + depth) of a
/// row of the window, and `outs` outputs.
void pack_tile(const DirectConv& conv, const WeightView& weights, const float* from, int64_t first,
               int64_t depth, int64_t outs, BFloat16* to) {
  const int64_t inputs = least(depth, conv.kernel_width * conv.in_channels - first);
  const auto at = [&](int64_t e) {
    return (first + e) / conv.in_channels * weights.column +
           (first + e) % conv.in_channels * weights.in;
  };
  if constexpr (kLanes == kTileColumns) {
    const bool is_whole = inputs == depth && outs == kTileColumns;
    if (is_whole && weights.out == 1) {
      for (int64_t e = 0; e < depth; e += 2, to += kTileDepth) {
        BFloat16 pair[2][kTileColumns];
        store(load(from + at(e)), pair[0]);
        store(load(from + at(e + 1)), pair[1]);
        store(Vector(load_bits(pair[0]) | load_bits(pair[1]) << 16), reinterpret_cast<float*>(to));
      }
      return;
    }
    if (is_whole && weights.in == 1 && at(depth - 1) == at(0) + depth - 1) {
      Vector square[kLanes];
      for (int64_t o = 0; o < kTileColumns; ++o) {
        float row[kTileDepth] = {};
        __builtin_memcpy(row, from + at(0) + o * weights.out, size_t(depth) * sizeof(float));
        BFloat16 pairs[kTileDepth];
        store(load(row), pairs);
        store(load(row + kLanes), pairs + kLanes);
        __builtin_memcpy(&square[o], pairs, sizeof(pairs));
      }
      transpose(square);
      for (int64_t k = 0; k < depth / 2; ++k) {
        store(square[k], reinterpret_cast<float*>(to) + k * kTileColumns);
      }
      return;
    }
  }
  for (int64_t e = 0; e < depth; ++e) {
    BFloat16* const pair = to + e / 2 * kTileDepth + e % 2;
    for (int64_t o = 0; o < kTileColumns; ++o) {
      const bool is_weight = e < inputs && o < outs;
      pair[2 * o] = BFloat16(is_weight ? from[at(e) + o * weights.out] : 0.0f);
    }
  }
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  const Cut cut = cut_weights(conv, sizeof(BFloat16));
  const int64_t depth = cut.depth / int64_t(sizeof(BFloat16)), tile = depth * kTileColumns;
  parallel_for(cut.panels * conv.kernel_height, 1, [&](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    BFloat16* out = reinterpret_cast<BFloat16*>(to) + i * cut.steps * 2 * tile;
    for (int64_t k = 0; k < cut.steps; ++k) {
      for (int64_t column = 0; column < 2; ++column, out += tile) {
        const int64_t o = panel * kChannels + column * kTileColumns;
        pack_tile(conv, weights, weights.base + o * weights.out + p * weights.row, k * depth, depth,
                  least(kTileColumns, conv.out_channels - o), out);
      }
    }
  });
}

}  // namespace

const AmxConvKernels& amx_conv_kernels() {
  static const AmxConvKernels kernels{packed_size, pack, scratch_size<Halves>, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL

YD_END_AVX512_BF16;
