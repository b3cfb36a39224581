// SPDX-License-Identifier: MIT
// Sums over a whole kernel that do not depend on the order in which blocks run: each block writes a
// row of sums, one block adds the rows up. All in double and in a fixed order.
#pragma once

#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {

/// Sums `values` over the block's kThreads threads; thread 0 holds the sums afterwards. Every
/// thread of the block must call it, once per kernel.
template <int K>
__device__ void block_sums(double (&values)[K]) {
  constexpr int kSide = 16;  // 16 columns of 16 threads, then the columns
  static_assert(kSide * kSide == kThreads && K * kSide <= kThreads);
  __shared__ double of_threads[K][kThreads], of_columns[K][kSide];
  const int thread = int(threadIdx.x);
  for (int k = 0; k < K; ++k) of_threads[k][thread] = values[k];
  __syncthreads();
  if (thread < K * kSide) {
    const int k = thread / kSide, column = thread % kSide;
    double sum = 0;
    for (int i = 0; i < kSide; ++i) sum += of_threads[k][i * kSide + column];
    of_columns[k][column] = sum;
  }
  __syncthreads();
  if (thread > 0) return;
  for (int k = 0; k < K; ++k) {
    values[k] = 0;
    for (int i = 0; i < kSide; ++i) values[k] += of_columns[k][i];
  }
}

/// As block_sums, and thread 0 writes the sums to row[K].
template <int K>
__device__ void write_block_sums(double (&values)[K], double* row) {
  block_sums(values);
  if (threadIdx.x > 0) return;
  for (int k = 0; k < K; ++k) row[k] = values[k];
}

template <int K, class Finish>
__global__ void __launch_bounds__(kThreads)
    finish_sums_kernel(const double* partial, int64_t rows, Finish finish) {
  double sums[K] = {};
  for (int64_t row = threadIdx.x; row < rows; row += kThreads) {
    for (int k = 0; k < K; ++k) sums[k] += partial[row * K + k];
  }
  block_sums(sums);
  if (threadIdx.x == 0) finish(sums);
}

/// finish(sums) on one thread, with the sums of partial[rows][K] over its rows; rows may be 0.
template <int K, class Finish>
void finish_sums(const double* partial, int64_t rows, Finish finish) {
  launch(finish_sums_kernel<K, Finish>, dim3(1), dim3(kThreads), partial, rows, finish);
}

}  // namespace ydistill::cuda
