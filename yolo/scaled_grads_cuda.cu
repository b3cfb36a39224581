// SPDX-License-Identifier: MIT
#include <ydistill/yolo/scaled_grads.h>

#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

constexpr int64_t kMaxScaleBlocks = 1024;  // few: the usual factor is 1, which needs no work

template <class T, int N>
__global__ void __launch_bounds__(kThreads)
    scale_kernel(int64_t packs, const float* factor, T* grad) {
  const float by = *factor;
  if (by == 1.0f) return;
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < packs; i += step) {
    Pack<T, N> values = load<T, N>(grad + i * N);
    for (int k = 0; k < N; ++k) values.v[k] = T(float(values.v[k]) * by);
    store(grad + i * N, values);
  }
}

template <class T, int N>
void run(const Tensor& grad, const Tensor& factor) {
  const int64_t packs = grad.numel() / N;
  if (packs == 0) return;
  const int64_t blocks = std::min((packs + kThreads - 1) / kThreads, kMaxScaleBlocks);
  launch(scale_kernel<T, N>, dim3(unsigned(blocks)), dim3(kThreads), packs,
         factor.device_data<float>(), grad.device_data<T>());
}

}  // namespace

void scale(const Tensor& grad, const Tensor& factor) {
  check_same_device("scaled_grads", grad, factor);
  if (factor.numel() != 1) throw ShapeError("scaled_grads: the factor is {}", factor.str());
  dispatch_rows(grad.dtype(), grad.numel(), "scaled_grads", [&](auto type, auto width) {
    run<decltype(type), decltype(width)::value>(grad, factor);
  });
}

}  // namespace ydistill::cuda
