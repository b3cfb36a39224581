// SPDX-License-Identifier: MIT
// Shared by the losses: the check of the dtype, and the backward pass of a loss whose forward
// already computed the gradients of its inputs.
#pragma once

#include <string_view>
#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill {

/// throws DTypeError, naming `op`, for a head on a GPU that is not float32.
void check_loss_dtype(std::string_view op, const Tensor& head);

/// Returns the gradients, multiplied IN PLACE by the scalar `grad_out` of their dtype (float32 for
/// bfloat16 gradients) and device; unchanged if it is 1. Undefined ones stay undefined. On a GPU
/// the scalar is not read back. A loss may pass its saved tensors: a tape calls each backward
/// function once.
Grads scaled_grads(const std::vector<Tensor>& grads, const Tensor& grad_out);

namespace cuda {
void scale(const Tensor& grad, const Tensor& factor);
}

}  // namespace ydistill
