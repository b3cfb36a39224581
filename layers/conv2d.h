// SPDX-License-Identifier: MIT
// The convolution of tensor/conv.h as an operation on the tape.
#pragma once

#include <memory>

#include <ydistill/autograd/var.h>
#include <ydistill/tensor/conv.h>

namespace ydistill {

/// y = x * weight + bias.
/// x       [N,H,W,C]; weight [O,K,K,C] and bias [O] (or an undefined Var) are leaves: their
///         gradients are added into their buffers.
/// packed  working copies of the weights, valid for `version`; may be null.
/// returns [N,OH,OW,O]
/// throws  ShapeError, DTypeError
Var conv2d(const Var& x, const Var& weight, const Var& bias, const Conv2dOptions& options,
           std::shared_ptr<PackedWeights> packed = nullptr, uint64_t version = 0);

/// silu(convolution + bias) + residual for inference, nothing recorded. x [N,H,W,C]; residual of
/// the output's shape or undefined. throws ShapeError, DTypeError, DeviceError.
Tensor conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& residual, const Conv2dOptions& options,
                        PackedWeights* packed = nullptr, uint64_t version = 0);
/// The same, written into channels of a tensor of x's dtype; through a copy if no kernel can do so.
/// throws ShapeError where the output does not fit, DTypeError, DeviceError.
void conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Tensor& residual, const Conv2dOptions& options, PackedWeights* packed,
                      uint64_t version, const ChannelSlice& to);

}  // namespace ydistill
