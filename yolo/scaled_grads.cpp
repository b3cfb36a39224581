// SPDX-License-Identifier: MIT
#include <ydistill/yolo/scaled_grads.h>

namespace ydistill {

Grads scaled_grads(const std::vector<Tensor>& grads, double factor) {
  Grads result = grads;
  if (factor == 1) return result;
  for (Tensor& grad : result) {
    if (!grad.defined()) continue;
    grad = grad.clone();
    dispatch_float(grad.dtype(), "scaled_grads", [&](auto type) {
      using T = decltype(type);
      for (T& value : grad.span<T>()) value *= T(factor);
    });
  }
  return result;
}

}  // namespace ydistill
