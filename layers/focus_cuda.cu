// SPDX-License-Identifier: MIT
#include <cmath>

#include <ydistill/layers/focus.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/cuda/elementwise.h>

namespace ydistill::cuda {
namespace {

/// level / 255, rounded exactly like the division (a test checks every level): a multiplication by
/// the inverse and one correction step (Markstein 1990).
__device__ __forceinline__ float by_255(uint8_t level) {
  constexpr float kInverse = 1.0f / 255.0f;
  const float x = float(level), q = x * kInverse;
  return std::fma(std::fma(-q, 255.0f, x), kInverse, q);
}

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
    T v[12];
    for (int c = 0; c < 3; ++c) {
      v[c] = T(by_255(even[c]));
      v[3 + c] = T(by_255(odd[c]));
      v[6 + c] = T(by_255(even[3 + c]));
      v[9 + c] = T(by_255(odd[3 + c]));
    }
    for (int part = 0; part < 12; part += 4) {
      store(out + i * 12 + part, Pack<T, 4>{v[part], v[part + 1], v[part + 2], v[part + 3]});
    }
  }
};

template <class T>
struct Scale {
  const uint8_t* images;
  T* out;
  __device__ void operator()(int64_t i) const { out[i] = T(by_255(images[i])); }
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
