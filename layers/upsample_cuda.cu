// SPDX-License-Identifier: MIT
// One thread for 16 bytes of channels of one pixel of the small map.
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

/// The four pixels of the large map that belong to pack `i` of the small one.
struct Corners {
  int64_t width, packs;  // of the small map; packs per pixel
  Divider by_width, by_packs;
  Corners(int64_t w, int64_t p) : width(w), packs(p), by_width(w), by_packs(p) {}
  __device__ __forceinline__ int64_t first(int64_t i) const {
    const auto [pixel, pack] = by_packs(i);
    const auto [row, column] = by_width(pixel);
    return ((2 * row) * 2 * width + 2 * column) * packs + pack;
  }
  __device__ __forceinline__ int64_t below() const { return 2 * width * packs; }
};

template <class T, int N>
struct Forward {
  const T* x;
  T* out;
  Corners corners;
  __device__ void operator()(int64_t i) const {
    const Pack<T, N> v = load<T, N>(x + i * N);
    const int64_t at = corners.first(i), below = corners.below(), right = corners.packs;
    for (const int64_t to : {at, at + right, at + below, at + below + right})
      store(out + to * N, v);
  }
};

template <class T, int N>
struct Backward {
  const T* grad_out;
  T* grad_x;
  Corners corners;
  __device__ void operator()(int64_t i) const {
    const int64_t at = corners.first(i), below = corners.below(), right = corners.packs;
    const auto a = load<T, N>(grad_out + at * N), b = load<T, N>(grad_out + (at + right) * N);
    const auto c = load<T, N>(grad_out + (at + below) * N);
    const auto d = load<T, N>(grad_out + (at + below + right) * N);
    Pack<T, N> sum;
    for (int k = 0; k < N; ++k) {
      sum.v[k] = T((float(a.v[k]) + float(b.v[k])) + (float(c.v[k]) + float(d.v[k])));
    }
    store(grad_x + i * N, sum);
  }
};

}  // namespace

void upsample2x(const Tensor& x, const Tensor& out) {
  const int64_t channels = x.size(3);
  dispatch_rows(x.dtype(), channels, "upsample2x", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    for_each(x.numel() / N,
             Forward<T, N>{x.device_data<T>(), out.device_data<T>(), {x.size(2), channels / N}});
  });
}

void upsample2x_backward(const Tensor& grad_out, const Tensor& grad_x) {
  const int64_t channels = grad_x.size(3);
  dispatch_rows(grad_x.dtype(), channels, "upsample2x", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    for_each(grad_x.numel() / N, Backward<T, N>{grad_out.device_data<T>(),
                                                grad_x.device_data<T>(),
                                                {grad_x.size(2), channels / N}});
  });
}

}  // namespace ydistill::cuda
