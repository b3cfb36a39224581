// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): how the product of conv_direct_kernels.h is cut up. A tile is kRows
// output pixels times a panel of kPanel output channels, a chunk some tiles of neighbouring pixels.
#pragma once

#include <ydistill/tensor/conv_direct_kernels.h>
#include <ydistill/tensor/register_tile.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr int64_t kTiles = 16;    // of a chunk, at most
inline constexpr int64_t kMinTiles = 4;  // of a chunk, unless there are fewer
inline constexpr int64_t kDepth = 320;  // products summed at a time: their weights fit the L1 cache

/// Of one output: kernel_height * kernel_width * in_channels.
YD_HOST_DEVICE int64_t products_of(const DirectConv& conv) {
  return conv.kernel_height * conv.kernel_width * conv.in_channels;
}
YD_HOST_DEVICE int64_t panels_of(const DirectConv& conv) {
  return ceil_div(conv.out_channels, kPanel);
}

/// As many chunks for each thread; where they would be very small, threads share the channels in
/// `parts`.
struct Chunks {
  int64_t tiles, count, parts;  // tiles: of all chunks together
};

YD_HOST_DEVICE Chunks chunks_of(const DirectConv& conv, int64_t threads) {
  const int64_t tiles = ceil_div(conv.batch * conv.out_height * conv.out_width, kRows);
  const int64_t needed = ceil_div(tiles, kTiles), even = ceil_div(needed, threads) * threads;
  const int64_t count = even * kMinTiles <= tiles ? even : needed;
  return {tiles, count, least(panels_of(conv), ceil_div(threads, count))};
}

}  // namespace ydistill::YD_CPU_LEVEL
