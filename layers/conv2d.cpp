// SPDX-License-Identifier: MIT
#include <ydistill/layers/conv2d.h>

namespace ydistill {
namespace {
const Op kConv2d("conv2d");
}

Var conv2d(const Var& x, const Var& weight, const Var& bias, const Conv2dOptions& options,
           std::shared_ptr<PackedWeights> packed, uint64_t version) {
  Tensor y = conv2d_forward(x.value(), weight.value(), bias.defined() ? bias.value() : Tensor(),
                            options, packed.get(), version);
  std::vector<Var> inputs{x, weight};
  if (bias.defined()) inputs.push_back(bias);
  return record(kConv2d, std::move(y), std::move(inputs), [=](const Tensor& grad_y) {
    const Tensor grad_bias = bias.requires_grad() ? bias.grad() : Tensor();
    if (weight.requires_grad()) {
      conv2d_backward_weight(grad_y, x.value(), options, weight.grad(), grad_bias);
    }
    Grads grads(bias.defined() ? 3 : 2);
    if (x.requires_grad()) {
      grads[0] =
          conv2d_backward_input(grad_y, weight.value(), x.shape(), options, packed.get(), version);
    }
    return grads;
  });
}

}  // namespace ydistill
