// SPDX-License-Identifier: MIT
#include <ydistill/layers/upsample.h>

namespace ydistill {
namespace {

const Op kUpsample2x("upsample2x");

template <class T>
const UpsampleKernels<T>& kernels() {
  if constexpr (std::is_same_v<T, float>) {
    return upsample_kernels().f32;
  } else {
    return upsample_kernels().f64;
  }
}

}  // namespace

Var upsample2x(const Var& x) {
  const Shape s = x.shape();
  if (s.rank() != 4) throw ShapeError("upsample2x: takes [N,H,W,C], got {}", s.str());
  return dispatch_float(x.dtype(), "upsample2x", [&](auto type) {
    using T = decltype(type);
    Tensor out = Tensor::empty({s[0], 2 * s[1], 2 * s[2], s[3]}, x.dtype());
    kernels<T>().forward(x.value().data<T>(), s[0] * s[1], s[2], s[3], out.data<T>());
    return record(kUpsample2x, std::move(out), {x}, [s](const Tensor& grad_out) {
      const Tensor grad_x = Tensor::empty(s, grad_out.dtype());
      kernels<T>().backward(grad_out.data<T>(), s[0] * s[1], s[2], s[3], grad_x.data<T>());
      return Grads{grad_x};
    });
  });
}

}  // namespace ydistill
