// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>

#include <array>
#include <cstring>

namespace ydistill {
namespace {

const Op kPyramidPool("pyramid_pool");
constexpr int kLevels = 3;

template <class T>
const PyramidPoolKernels<T>& kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return pyramid_pool_kernels().f32;
  } else {
    return pyramid_pool_kernels().f64;
  }
}

/// Copies the first slice of C channels between tensors whose rows are of other lengths.
template <class T>
void copy_slice(const T* from, int64_t from_pitch, T* to, int64_t to_pitch, int64_t channels,
                int64_t rows) {
  for (int64_t r = 0; r < rows; ++r) {
    std::memcpy(to + r * to_pitch, from + r * from_pitch, size_t(channels) * sizeof(T));
  }
}

}  // namespace

Var pyramid_pool(const Var& x) {
  const Shape s = x.shape();
  if (s.rank() != 4) throw ShapeError("pyramid_pool: takes [N,H,W,C], got {}", s.str());
  const int64_t channels = s[3], pitch = (kLevels + 1) * channels, rows = s[0] * s[1] * s[2];
  return dispatch_float(x.dtype(), "pyramid_pool", [&](auto type) {
    using T = decltype(type);
    Tensor out = Tensor::empty({s[0], s[1], s[2], pitch}, x.dtype());
    std::array<Tensor, kLevels> argmax;
    copy_slice(x.value().data<T>(), channels, out.data<T>(), pitch, channels, rows);
    for (int level = 0; level < kLevels; ++level) {
      if (is_recording({&x})) argmax[size_t(level)] = Tensor::empty(s, DType::kUInt8);
      T* slice = out.data<T>() + level * channels;
      kernels<T>().pool(slice, slice + channels,
                        reinterpret_cast<uint8_t*>(argmax[size_t(level)].raw()), s[0], s[1], s[2],
                        channels, pitch);
    }
    return record(kPyramidPool, std::move(out), {x}, [=](const Tensor& grad_out) {
      // Level by level from the widest window: what a pool receives goes on to the one below.
      const Tensor grads = grad_out.is_unique() ? grad_out : grad_out.clone();
      for (int level = kLevels - 1; level >= 0; --level) {
        T* slice = grads.data<T>() + level * channels;
        kernels<T>().unpool(slice + channels, argmax[size_t(level)].template data<uint8_t>(), slice,
                            s[0], s[1], s[2], channels, pitch);
      }
      const Tensor grad_x = Tensor::empty(s, grad_out.dtype());
      copy_slice(grads.data<T>(), pitch, grad_x.data<T>(), channels, channels, rows);
      return Grads{grad_x};
    });
  });
}

}  // namespace ydistill
