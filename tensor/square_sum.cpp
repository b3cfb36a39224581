// SPDX-License-Identifier: MIT
#include <ydistill/tensor/square_sum.h>

#include <algorithm>

namespace ydistill {
namespace {

Tensor parts_on_cpu(const Tensor& values) {
  constexpr int64_t kPerChunk = 1 << 16;
  const int64_t n = values.numel();
  const Tensor parts =
      Tensor::zeros({std::max<int64_t>((n + kPerChunk - 1) / kPerChunk, 1)}, DType::kFloat64);
  dispatch_float(values.dtype(), "square_sum", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(square_sum_kernels())(values.data<T>(), n, kPerChunk, parts.data<double>());
  });
  return parts;
}

#ifdef YD_HAVE_CUDA
Tensor parts_on_cuda(const Tensor& values) {
  if (values.dtype() != DType::kFloat32) {
    throw DTypeError("square_sum: takes float32 on a GPU, got {}", values.str());
  }
  Tensor parts = cuda::square_sum_room(values.numel(), values.device());
  cuda::square_sum_parts(values, parts);
  return parts;
}
#endif

}  // namespace

Tensor square_sum_parts(const Tensor& values) {
  return YD_BACKEND(values.device(), parts_on_cpu(values), parts_on_cuda(values));
}

double square_sum(const Tensor& values) {
  const Tensor parts = square_sum_parts(values).to(Device::cpu());
  double sum = 0;
  for (const double part : parts.span<double>()) sum += part;
  return sum;
}

}  // namespace ydistill
