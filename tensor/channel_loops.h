// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): loops over rows x channels. NHWC: channels are the fast axis, so
// every loop vectorises over them. Rows are walked in blocks that stay in the L1 cache while tiles
// of channels are summed in registers; a block's float sums are flushed to double.
#pragma once

#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {

YD_HOST_DEVICE int64_t block_rows(int64_t channels) {
  constexpr int64_t kBlockElements = 4096;
  const int64_t rows = kBlockElements / channels;  // few, so that float sums stay short
  return rows < 1 ? 1 : (rows > 16 ? 16 : rows);
}

YD_HOST_DEVICE int64_t task_rows(int64_t channels) {
  constexpr int64_t kElements = 1 << 15;
  const int64_t rows = kElements / channels;
  return rows < 1 ? 1 : rows;
}

/// Sums kSums quantities over rows [begin, end) of the channels at kPacks places from `first` on:
/// value(element, channel, sums) adds to each at a place of the tensor and of what is [channels].
template <int kSums, int kPacks, class T, class Value>
YD_HOST_DEVICE void sum_tile(int64_t begin, int64_t end, const auto& first, int64_t channels,
                             double* out, Value value) {
  constexpr int64_t kPack = kPackOf<T>;
  Pack<T> sums[kPacks][kSums] = {};
  for (int64_t row = begin; row < end; ++row) {
    for (int k = 0; k < kPacks; ++k) {
      const auto c = first.after(k * kPack);
      value(c.after(row * channels), c, sums[k]);
    }
  }
  for (int k = 0; k < kPacks; ++k) {
    const auto c = first.after(k * kPack);
    for (int which = 0; which < kSums; ++which) {
      c.template add<kPack>(sums[k][which], out + which * channels);
    }
  }
}

/// Sums over the rows of each chunk (tensor/channel_chunks.h) to partial[chunk][kSums][channels].
template <int kSums, class T, class Value>
YD_HOST_DEVICE void sum_chunks(int64_t rows, int64_t channels, int64_t rows_per_chunk,
                               double* partial, const Value& value) {
  constexpr int64_t kPack = kPackOf<T>;
  constexpr int64_t kWidth = kSums <= 2 ? 32 : kPack;  // channels that registers hold
  const int64_t step = block_rows(channels);
  parallel_ranges(rows, rows_per_chunk, [=](int64_t begin, int64_t end) {
    double* out = partial + begin / rows_per_chunk * kSums * channels;
    for (int64_t c = 0; c < kSums * channels; ++c) out[c] = 0;
    for (int64_t row = begin; row < end; row += step) {
      const int64_t row_end = row + step < end ? row + step : end;
      int64_t c = 0;
      for (; c + kWidth <= channels; c += kWidth) {
        sum_tile<kSums, kWidth / kPack, T>(row, row_end, WholePack{c}, channels, out, value);
      }
      for (; kWidth > kPack && c + kPack <= channels; c += kPack) {
        sum_tile<kSums, 1, T>(row, row_end, WholePack{c}, channels, out, value);
      }
      if constexpr (kPack > 1) {
        if (c < channels) {
          sum_tile<kSums, 1, T>(row, row_end, FirstOfPack{c, channels - c}, channels, out, value);
        }
      }
    }
  });
}

/// f(element, channel) for all places of rows x channels.
template <class T, class F>
YD_HOST_DEVICE void for_each_row(int64_t rows, int64_t channels, const F& f) {
  parallel_ranges(rows, task_rows(channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for_each_pack<T>(
          channels, [=](const auto& c)
                        __attribute__((always_inline)) { f(c.after(row * channels), c); });
    }
  });
}

}  // namespace ydistill::YD_CPU_LEVEL
