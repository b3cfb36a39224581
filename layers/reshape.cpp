// SPDX-License-Identifier: MIT
#include <ydistill/layers/reshape.h>

namespace ydistill {
namespace {
const Op kReshape("reshape");
}

Var reshape(const Var& x, const Shape& shape) {
  return record(
      kReshape, x.value().reshape(shape), {x},
      [before = x.shape()](const Tensor& grad_out) { return Grads{grad_out.reshape(before)}; });
}

}  // namespace ydistill
