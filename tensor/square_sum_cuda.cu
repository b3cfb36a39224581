// SPDX-License-Identifier: MIT
// Reads 16 bytes (4 values) at a time. Threads add in double; a block adds these in a fixed order.
#include <ydistill/tensor/square_sum.h>

#include <algorithm>

#include <ydistill/tensor/cuda/block_sums.h>

namespace ydistill::cuda {
namespace {

constexpr int kWidth = kPack<float>;
constexpr int64_t kMaxParts = 1024;

/// partial[block]: the sum of the squares of every gridDim-th stretch of packs; block 0 also adds
/// the values after the last whole pack.
__global__ void __launch_bounds__(kThreads)
    square_sums_kernel(const float* values, int64_t n, double* partial) {
  double own[1] = {};
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  const int64_t first = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  const int64_t packs = n / kWidth;
  for (int64_t i = first; i < packs; i += step) {
    const auto pack = load<float, kWidth>(values + i * kWidth);
    for (int k = 0; k < kWidth; ++k) own[0] += double(pack.v[k]) * double(pack.v[k]);
  }
  if (packs * kWidth + first < n) {
    const double value = double(values[packs * kWidth + first]);
    own[0] += value * value;
  }
  write_block_sums(own, partial + blockIdx.x);
}

}  // namespace

Tensor square_sum_room(int64_t n, Device device) {
  const int64_t per_block = int64_t(kThreads) * kWidth;
  const int64_t parts = std::min((n + per_block - 1) / per_block, kMaxParts);
  return Tensor::zeros({std::max<int64_t>(parts, 1)}, DType::kFloat64, device);
}

void square_sum_parts(const Tensor& values, const Tensor& parts) {
  launch(square_sums_kernel, dim3(unsigned(parts.numel())), dim3(kThreads),
         values.device_data<float>(), values.numel(), parts.device_data<double>());
}

}  // namespace ydistill::cuda
