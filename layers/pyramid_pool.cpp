// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>

#include <algorithm>
#include <array>

#include <ydistill/tensor/copy_rows.h>

namespace ydistill {
namespace {

const Op kPyramidPool("pyramid_pool");
constexpr int kLevels = 3;

PoolSlice slice_of(const Tensor& slices, int64_t radius) {
  return {slices.size(0), slices.size(1), slices.size(2), slices.size(3) / (kLevels + 1),
          slices.size(3), radius};
}

void pool_on_cpu(const Tensor& slices, int level, int64_t radius, const Tensor& argmax) {
  dispatch_inference(slices.dtype(), "pyramid_pool", [&](auto type) {
    using T = decltype(type);
    const PoolSlice slice = slice_of(slices, radius);
    T* in = slices.data<T>() + level * slice.channels;
    kernels_for<T>(pyramid_pool_kernels())
        .pool(in, in + slice.channels, argmax.defined() ? argmax.data<uint8_t>() : nullptr, slice);
  });
}

void unpool_on_cpu(const Tensor& grads, int level, int64_t radius, const Tensor& argmax) {
  dispatch_activation(grads.dtype(), "pyramid_pool", [&](auto type) {
    using T = decltype(type);
    const PoolSlice slice = slice_of(grads, radius);
    T* in = grads.data<T>() + level * slice.channels;
    kernels_for<T>(pyramid_pool_kernels())
        .unpool(in + slice.channels, argmax.data<uint8_t>(), in, slice);
  });
}

/// Copies the first slice of C channels out of the four, or into them.
void copy_first_slice(const Tensor& from, const Tensor& to) {
  const int64_t from_pitch = from.size(3) * size_of(from.dtype());
  const int64_t to_pitch = to.size(3) * size_of(to.dtype());
  copy_rows(from.device(), from.raw(), from_pitch, to.raw(), to_pitch,
            std::min(from_pitch, to_pitch), from.size(0) * from.size(1) * from.size(2));
}

}  // namespace

Var pyramid_pool(const Var& x, int64_t window) {
  const Shape s = x.shape();
  if (s.rank() != 4) throw ShapeError("pyramid_pool: takes [N,H,W,C], got {}", s.str());
  if (window < 3 || window > kMaxPoolWindow || window % 2 == 0) {
    throw ValueError("pyramid_pool: the window must be odd and 3..{}, got {}", kMaxPoolWindow,
                     window);
  }
  const int64_t radius = window / 2;
  const Device device = x.device();
  Tensor out = Tensor::empty({s[0], s[1], s[2], (kLevels + 1) * s[3]}, x.dtype(), device);
  std::array<Tensor, kLevels> argmax;
  copy_first_slice(x.value(), out);
  for (int level = 0; level < kLevels; ++level) {
    Tensor& winners = argmax[size_t(level)];
    if (is_recording({&x})) winners = Tensor::empty(s, DType::kUInt8, device);
    YD_BACKEND(device, pool_on_cpu(out, level, radius, winners),
               cuda::pool_slice(out, level, radius, winners));
  }
  return record(kPyramidPool, std::move(out), {x}, [=](const Tensor& grad_out) {
    // From the widest window down: what a pool receives is passed on to the level below.
    const Tensor grads = grad_out.is_unique() ? grad_out : grad_out.clone();
    for (int level = kLevels - 1; level >= 0; --level) {
      const Tensor& winners = argmax[size_t(level)];
      YD_BACKEND(device, unpool_on_cpu(grads, level, radius, winners),
                 cuda::unpool_slice(grads, level, radius, winners));
    }
    const Tensor grad_x = Tensor::empty(s, grad_out.dtype(), device);
    copy_first_slice(grads, grad_x);
    return Grads{grad_x};
  });
}

}  // namespace ydistill
