// SPDX-License-Identifier: MIT
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

template <class T, int N>
struct Add {
  T* sum;
  const T* other;
  __device__ void operator()(int64_t i) const {
    Pack<T, N> a = load<T, N>(sum + i * N);
    const Pack<T, N> b = load<T, N>(other + i * N);
    for (int k = 0; k < N; ++k) a.v[k] = T(float(a.v[k]) + float(b.v[k]));
    store(sum + i * N, a);
  }
};

}  // namespace

void add_into(const Tensor& sum, const Tensor& other) {
  check_same_device("add_into", sum, other);
  // As one long row. If its length is not a multiple of 16 bytes, every number goes singly.
  dispatch_rows(sum.dtype(), sum.numel(), "add_into", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    for_each(sum.numel() / N, Add<T, N>{sum.device_data<T>(), other.device_data<T>()});
  });
}

}  // namespace ydistill::cuda
