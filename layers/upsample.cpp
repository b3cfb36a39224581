// SPDX-License-Identifier: MIT
#include <ydistill/layers/upsample.h>

namespace ydistill {
namespace {

const Op kUpsample2x("upsample2x");

void forward_on_cpu(const Tensor& x, const Tensor& out) {
  dispatch_inference(x.dtype(), "upsample2x", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(upsample_kernels())
        .forward(x.data<T>(), x.size(0) * x.size(1), x.size(2), x.size(3), out.data<T>());
  });
}

void backward_on_cpu(const Tensor& grad_out, const Tensor& grad_x) {
  dispatch_activation(grad_x.dtype(), "upsample2x", [&](auto type) {
    using T = decltype(type);
    kernels_for<T>(upsample_kernels())
        .backward(grad_out.data<T>(), grad_x.size(0) * grad_x.size(1), grad_x.size(2),
                  grad_x.size(3), grad_x.data<T>());
  });
}

}  // namespace

Var upsample2x(const Var& x) {
  const Shape s = x.shape();
  if (s.rank() != 4) throw ShapeError("upsample2x: takes [N,H,W,C], got {}", s.str());
  const Device device = x.device();
  Tensor out = Tensor::empty({s[0], 2 * s[1], 2 * s[2], s[3]}, x.dtype(), device);
  YD_BACKEND(device, forward_on_cpu(x.value(), out), cuda::upsample2x(x.value(), out));
  return record(kUpsample2x, std::move(out), {x}, [s, device](const Tensor& grad_out) {
    const Tensor grad_x = Tensor::empty(s, grad_out.dtype(), device);
    YD_BACKEND(device, backward_on_cpu(grad_out, grad_x),
               cuda::upsample2x_backward(grad_out, grad_x));
    return Grads{grad_x};
  });
}

}  // namespace ydistill
