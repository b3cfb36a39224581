// SPDX-License-Identifier: MIT
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/square_sum.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void square_sums(const T* x, int64_t n, int64_t per_chunk, double* partial) {
  parallel_ranges(n, per_chunk, [=](int64_t begin, int64_t end) {
    constexpr int kLanes = 16;
    double lanes[kLanes] = {};
    int64_t i = begin;
    for (; i + kLanes <= end; i += kLanes) {
      for (int k = 0; k < kLanes; ++k) lanes[k] += double(x[i + k]) * double(x[i + k]);
    }
    double sum = 0;
    for (; i < end; ++i) sum += double(x[i]) * double(x[i]);
    for (int k = 0; k < kLanes; ++k) sum += lanes[k];
    partial[begin / per_chunk] = sum;
  });
}

}  // namespace

const SquareSumKernels& square_sum_kernels() {
  static const SquareSumKernels kernels{square_sums<float>, square_sums<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
