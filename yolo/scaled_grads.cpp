// SPDX-License-Identifier: MIT
#include <ydistill/yolo/scaled_grads.h>

#include <ydistill/tensor/dry_run.h>

namespace ydistill {
namespace {

void scale_on_cpu(const Tensor& grad, const Tensor& factor) {
  if (DryRun::is_on() || factor.item() == 1) return;
  dispatch_activation(grad.dtype(), "scaled_grads", [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const A by = A(factor.item());
    for (T& value : grad.span<T>()) value = T(A(value) * by);
  });
}

}  // namespace

void check_loss_dtype(std::string_view op, const Tensor& head) {
  if (head.device().is_cuda() && head.dtype() != DType::kFloat32) {
    throw DTypeError("{}: on a GPU the heads must be float32, they are {}", op,
                     name_of(head.dtype()));
  }
}

Grads scaled_grads(const std::vector<Tensor>& grads, const Tensor& grad_out) {
  for (const Tensor& grad : grads) {
    if (!grad.defined()) continue;
    YD_BACKEND(grad.device(), scale_on_cpu(grad, grad_out), cuda::scale(grad, grad_out));
  }
  return grads;
}

}  // namespace ydistill
