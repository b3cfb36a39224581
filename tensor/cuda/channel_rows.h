// SPDX-License-Identifier: MIT
// Kernels over [rows, channels] that need some numbers per channel, and sums over the rows.
//
// A thread works on one pack of N channels and walks down the rows: its channels' numbers are read
// once and stay in registers, and no index has to be divided. A block is `kLanes` neighbouring
// packs wide (8 lanes of 16 bytes are one cache line) and reads kThreads / kLanes rows at once.
#pragma once

#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {

/// The number of chunks of a long tensor: enough to fill any device, few enough that their sums are
/// added up quickly.
inline constexpr int64_t kMaxChunks = 1024;
inline constexpr int kRowsAThread = 16;  // minimum, if there are so many rows

/// How rows are dealt out: chunk i gets rows [i * rows_per_chunk, ...).
struct RowChunks {
  int64_t rows_per_chunk = 0, count = 0;
};

template <int kLanes>
RowChunks row_chunks(int64_t rows) {
  constexpr int64_t kUnit = int64_t(kThreads / kLanes) * kRowsAThread;
  const int64_t wanted = (rows + kMaxChunks - 1) / kMaxChunks;
  const int64_t per_chunk = std::max<int64_t>((wanted + kUnit - 1) / kUnit, 1) * kUnit;
  return {per_chunk, (rows + per_chunk - 1) / per_chunk};
}

/// Calls f(lanes) with the narrowest block for rows of `packs` packs, as a std::integral_constant.
template <int N, class F>
void dispatch_lanes(int64_t packs, F&& f) {
  if constexpr (N > 1) {  // single numbers are the exception and need not be fast
    if (packs <= 2) return f(std::integral_constant<int, 2>());
    if (packs <= 4) return f(std::integral_constant<int, 4>());
  }
  f(std::integral_constant<int, 8>());
}

template <int N, int kLanes>
dim3 grid_of(int64_t channels, int64_t chunks) {
  const int64_t tile = int64_t(kLanes) * N;
  return dim3(unsigned(chunks), unsigned((channels + tile - 1) / tile));
}

/// The rows and channels of a thread.
template <int N, int kLanes>
struct RowThread {
  static constexpr int kLines = kThreads / kLanes;
  int lane, line;
  int64_t first;       // of its channels
  int64_t begin, end;  // rows of its chunk
  __device__ RowThread(int64_t rows, int64_t rows_per_chunk)
      : lane(int(threadIdx.x) % kLanes), line(int(threadIdx.x) / kLanes) {
    first = (int64_t(blockIdx.y) * kLanes + lane) * N;
    begin = int64_t(blockIdx.x) * rows_per_chunk;
    end = begin + rows_per_chunk < rows ? begin + rows_per_chunk : rows;
  }
};

template <int N, int kLanes, class F>
__global__ void __launch_bounds__(kThreads)
    for_each_row_kernel(int64_t rows, int64_t channels, int64_t rows_per_chunk, F f) {
  const RowThread<N, kLanes> at(rows, rows_per_chunk);
  if (at.first >= channels) return;
  const auto numbers = f.of_channels(at.first);
  for (int64_t row = at.begin + at.line; row < at.end; row += at.kLines) {
    f(numbers, row * channels + at.first);
  }
}

/// Rows per chunk where nothing is added up, so that any number of chunks is fine: kRowsAThread per
/// thread, so that reading the channels' numbers pays; fewer if the GPU would be left half empty,
/// because a thread waits for the memory once per row.
template <int kLanes>
int64_t rows_of_chunk(int64_t rows, int64_t blocks_a_chunk) {
  constexpr int64_t kEnoughBlocks = 1024;  // about twice what 132 multiprocessors can hold at once
  constexpr int64_t kLines = kThreads / kLanes, kLeast = 2;
  const int64_t a_thread = rows * blocks_a_chunk / (kLines * kEnoughBlocks);
  return kLines * std::clamp<int64_t>(a_thread, kLeast, kRowsAThread);
}

/// f.of_channels(first channel) gives what f needs of N channels; f(that, index of the first
/// number) does the work of one row. channels is a multiple of N.
template <int N, class F>
void for_each_row(int64_t rows, int64_t channels, F f) {
  if (rows <= 0) return;
  dispatch_lanes<N>(channels / N, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const int64_t per_chunk = rows_of_chunk<kLanes>(rows, grid_of<N, kLanes>(channels, 1).y);
    launch(for_each_row_kernel<N, kLanes, F>,
           grid_of<N, kLanes>(channels, (rows + per_chunk - 1) / per_chunk), dim3(kThreads), rows,
           channels, per_chunk, f);
  });
}

template <int N, int kLanes, class F>
__global__ void __launch_bounds__(kThreads)
    column_sums_kernel(int64_t rows, int64_t channels, int64_t rows_per_chunk, double* partial,
                       F f) {
  const RowThread<N, kLanes> at(rows, rows_per_chunk);
  double sums[2][N] = {};
  if (at.first < channels) {
    const auto numbers = f.of_channels(at.first);
    constexpr int64_t kStretch = int64_t(kRowsAThread) * RowThread<N, kLanes>::kLines;
    int64_t row = at.begin + at.line;
    while (row < at.end) {
      float a[N] = {}, b[N] = {};                 // short sums in float, long ones in double
      if (row + kStretch - at.kLines < at.end) {  // a known count, so that loads overlap
        YD_UNROLL_4
        for (int i = 0; i < kRowsAThread; ++i) {
          f(numbers, (row + int64_t(i) * at.kLines) * channels + at.first, a, b);
        }
        row += kStretch;
      } else {
        for (; row < at.end; row += at.kLines) f(numbers, row * channels + at.first, a, b);
      }
      for (int k = 0; k < N; ++k) {
        sums[0][k] += double(a[k]);
        sums[1][k] += double(b[k]);
      }
    }
  }
  __shared__ double lines[kThreads / kLanes][kLanes * N];
  for (int which = 0; which < 2; ++which) {
    for (int k = 0; k < N; ++k) lines[at.line][at.lane * N + k] = sums[which][k];
    __syncthreads();
    const int column = int(threadIdx.x);
    const int64_t channel = int64_t(blockIdx.y) * kLanes * N + column;
    if (column < kLanes * N && channel < channels) {
      double sum = 0;
      for (int i = 0; i < at.kLines; ++i) sum += lines[i][column];
      partial[(int64_t(blockIdx.x) * 2 + which) * channels + channel] = sum;
    }
    __syncthreads();
  }
}

inline constexpr int kFinishChannels = 8;  // per block
inline constexpr int kFinishLines = kThreads / kFinishChannels;

template <class F>
__global__ void __launch_bounds__(kThreads)
    finish_columns_kernel(const double* partial, int64_t chunks, int64_t channels, F f) {
  const int column = int(threadIdx.x) % kFinishChannels, line = int(threadIdx.x) / kFinishChannels;
  const int64_t channel = int64_t(blockIdx.x) * kFinishChannels + column;
  __shared__ double sums[2][kFinishLines][kFinishChannels];
  for (int which = 0; which < 2; ++which) {
    double sum = 0;
    for (int64_t i = line; i < chunks && channel < channels; i += kFinishLines) {
      sum += partial[(i * 2 + which) * channels + channel];
    }
    sums[which][line][column] = sum;
  }
  __syncthreads();
  if (line > 0 || channel >= channels) return;
  double total[2] = {0, 0};
  for (int which = 0; which < 2; ++which) {
    for (int i = 0; i < kFinishLines; ++i) total[which] += sums[which][i][column];
  }
  f(channel, total[0], total[1]);
}

/// Sums over the rows what f(numbers of the channels, index, a, b) adds to a[N] and b[N], then
/// calls finish(channel, sum of a, sum of b) once per channel. The order of every sum is fixed.
template <int N, class F, class Finish>
void column_sums(Device device, int64_t rows, int64_t channels, F f, Finish finish) {
  dispatch_lanes<N>(channels / N, [&](auto lanes) {
    constexpr int kLanes = decltype(lanes)::value;
    const RowChunks chunks = row_chunks<kLanes>(rows);
    const Tensor partial =
        Tensor::empty({std::max<int64_t>(chunks.count, 1), 2, channels}, DType::kFloat64, device);
    double* const sums = partial.device_data<double>();
    if (rows > 0) {
      launch(column_sums_kernel<N, kLanes, F>, grid_of<N, kLanes>(channels, chunks.count),
             dim3(kThreads), rows, channels, chunks.rows_per_chunk, sums, f);
    }
    launch(finish_columns_kernel<Finish>,
           dim3(unsigned((channels + kFinishChannels - 1) / kFinishChannels)), dim3(kThreads),
           static_cast<const double*>(sums), chunks.count, channels, finish);
  });
}

}  // namespace ydistill::cuda
