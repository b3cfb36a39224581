// SPDX-License-Identifier: MIT
// Sums over the rows of [rows, channels], the same whatever the order in which blocks run: a block
// takes a tile of channels and a chunk of rows; its threads sum short float columns, the block adds
// them; whoever uses the result adds the chunks in order and in double (column_sum).
#pragma once

#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {

inline constexpr int kTilePacks = 8;                      // neighbouring packs of channels a block
inline constexpr int kTileRows = kThreads / kTilePacks;   // rows it reads at once
inline constexpr int64_t kRowsPerChunk = 16 * kTileRows;  // a thread sums at most 16 numbers

inline int64_t num_chunks(int64_t rows) {
  return (rows + kRowsPerChunk - 1) / kRowsPerChunk;
}

/// partial[chunk][2][channels]: what value(row, first channel, a, b) adds to a[N] and b[N].
template <int N, class Value>
__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(int64_t rows, int64_t channels, float* partial, Value value) {
  const int lane = int(threadIdx.x) % kTilePacks, line = int(threadIdx.x) / kTilePacks;
  const int64_t first = (int64_t(blockIdx.y) * kTilePacks + lane) * N;
  const int64_t begin = int64_t(blockIdx.x) * kRowsPerChunk;
  const int64_t end = begin + kRowsPerChunk < rows ? begin + kRowsPerChunk : rows;
  float a[N], b[N];
  for (int k = 0; k < N; ++k) a[k] = b[k] = 0;
  if (first < channels) {
    for (int64_t row = begin + line; row < end; row += kTileRows) value(row, first, a, b);
  }
  __shared__ float sums[kTileRows][kTilePacks * N];
  for (int which = 0; which < 2; ++which) {
    for (int k = 0; k < N; ++k) sums[line][lane * N + k] = which == 0 ? a[k] : b[k];
    __syncthreads();
    if (int(threadIdx.x) < kTilePacks * N) {
      const int64_t channel = int64_t(blockIdx.y) * kTilePacks * N + threadIdx.x;
      float sum = 0;
      for (int i = 0; i < kTileRows; ++i) sum += sums[i][threadIdx.x];
      if (channel < channels) {
        partial[(int64_t(blockIdx.x) * 2 + which) * channels + channel] = sum;
      }
    }
    __syncthreads();
  }
}

/// partial: [num_chunks(rows), 2, channels]; channels a multiple of N.
template <int N, class Value>
void column_sums(int64_t rows, int64_t channels, float* partial, Value value) {
  const int64_t tiles = (channels + kTilePacks * N - 1) / (kTilePacks * N);
  launch(column_sums_kernel<N, Value>, dim3(unsigned(num_chunks(rows)), unsigned(tiles)),
         dim3(kThreads), rows, channels, partial, value);
}

/// Sum `which` of one channel.
__device__ __forceinline__ double column_sum(const float* partial, int64_t chunks, int64_t channels,
                                             int which, int64_t channel) {
  double sum = 0;
  for (int64_t i = 0; i < chunks; ++i) sum += double(partial[(i * 2 + which) * channels + channel]);
  return sum;
}

}  // namespace ydistill::cuda
