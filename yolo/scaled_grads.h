// SPDX-License-Identifier: MIT
// The backward pass of a loss whose forward already computed the gradients of its inputs.
#pragma once

#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill {

/// The gradients themselves where `factor` is 1, else multiplied copies. Undefined ones stay so.
Grads scaled_grads(const std::vector<Tensor>& grads, double factor);

}  // namespace ydistill
