// SPDX-License-Identifier: MIT
#include <ydistill/layers/conv2d.h>

#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/copy_rows.h>
#include <ydistill/tensor/cuda/conv.h>

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
  return record(kConv2d, std::move(y), std::move(inputs),
                [weight, bias, options, packed, version, saved_x = SavedValue(x), shape = x.shape(),
                 dtype = x.dtype(), x_wanted = x.requires_grad()](const Tensor& grad_y) {
                  const Tensor grad_bias = bias.requires_grad() ? bias.grad() : Tensor();
                  if (weight.requires_grad()) {
                    conv2d_backward_weight(grad_y, saved_x.get(), options, weight.grad(),
                                           grad_bias);
                  }
                  Grads grads(bias.defined() ? 3 : 2);
                  if (x_wanted) {
                    grads[0] = conv2d_backward_input(grad_y, weight.value(), shape, dtype, options,
                                                     packed.get(), version);
                  }
                  return grads;
                });
}

Tensor conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& residual, const Conv2dOptions& options, PackedWeights* packed,
                        uint64_t version) {
  const auto on_cpu = [&] {
    const Tensor fused =
        conv2d_bias_silu_in_one_pass(x, weight, bias, residual, options, packed, version);
    if (fused.defined()) return fused;
    const Tensor y = conv2d_forward_as(x.dtype(), x, weight, bias, options, packed, version);
    silu_inplace(y, residual);
    return y;
  };
  return YD_BACKEND(x.device(), on_cpu(),
                    cuda::conv2d_bias_silu(x, weight, bias, residual, options, packed, version));
}

void conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& residual, const Conv2dOptions& options, PackedWeights* packed,
                      uint64_t version, const ChannelSlice& to) {
  if (conv2d_bias_silu_in_one_pass(x, weight, bias, residual, options, packed, version, to)) return;
  const Tensor y = conv2d_bias_silu(x, weight, bias, residual, options, packed, version);
  const int64_t size = size_of(y.dtype()), width = y.shape()[3] * size;
  copy_rows(y.device(), y.raw(), width, to.whole.raw() + to.first * size,
            to.whole.shape()[3] * size, width, y.numel() / y.shape()[3]);
}

}  // namespace ydistill
