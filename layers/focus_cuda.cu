// SPDX-License-Identifier: MIT
#include <ydistill/layers/focus.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

/// One thread for the twelve channels of a pixel of the output.
template <class T>
struct Focus {
  const uint8_t* images;
  T* out;
  int64_t half_width;
  Divider by_width;
  __device__ void operator()(int64_t i) const {
    const auto [row, column] = by_width(i);
    const uint8_t* even = images + row * 12 * half_width + column * 6;
    const uint8_t* odd = even + 6 * half_width;
    T* to = out + i * 12;
    for (int c = 0; c < 3; ++c) {
      to[c] = T(float(even[c]) / 255.0f);
      to[3 + c] = T(float(odd[c]) / 255.0f);
      to[6 + c] = T(float(even[3 + c]) / 255.0f);
      to[9 + c] = T(float(odd[3 + c]) / 255.0f);
    }
  }
};

template <class T>
struct Scale {
  const uint8_t* images;
  T* out;
  __device__ void operator()(int64_t i) const { out[i] = T(float(images[i]) / 255.0f); }
};

}  // namespace

void focus_input(const Tensor& images, const Tensor& out) {
  dispatch_rows(out.dtype(), 1, "focus_input", [&](auto type, auto) {
    using T = decltype(type);
    for_each(out.numel() / 12, Focus<T>{images.device_data<uint8_t>(), out.device_data<T>(),
                                        out.size(2), Divider(out.size(2))});
  });
}

void scaled_input(const Tensor& images, const Tensor& out) {
  dispatch_rows(out.dtype(), 1, "scaled_input", [&](auto type, auto) {
    using T = decltype(type);
    for_each(out.numel(), Scale<T>{images.device_data<uint8_t>(), out.device_data<T>()});
  });
}

}  // namespace ydistill::cuda
