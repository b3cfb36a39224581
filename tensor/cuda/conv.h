// SPDX-License-Identifier: MIT
// Convolution on a GPU: the functions of ../conv.h. Activations are float32 or bfloat16; weights,
// biases and their gradients float32. Channels are padded with zeros to the multiple that the
// library takes, 8 (bfloat16) or 4 (float32); the padding never leaves these functions.
#pragma once

#include <ydistill/tensor/conv.h>

namespace ydistill::cuda {

/// bias may be undefined; y has the dtype of x, or float32 where there is a bias.
void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version);
/// silu(convolution + bias) + residual; all but the residual in one kernel if the library has it.
Tensor conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& residual, const Conv2dOptions& options, PackedWeights* packed,
                        uint64_t version);
/// grad_y is float32 or has the dtype of grad_x.
void conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version);
/// ADDS to both gradients. grad_y is float32 or has the dtype of x.
void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias);

/// Whether float32 convolutions may round their operands to TF32 (10 bits of mantissa). Off by
/// default. For the calling thread.
void set_allow_tf32(bool allow);
bool allow_tf32();
/// Whether a plan is chosen by timing candidates on first use instead of by the libraries' rules.
/// Two runs may then choose differently, and differ in rounding.
void set_autotune(bool autotune);
/// Whether conv2d_bias_silu may use a kernel that the library compiles for it (bfloat16 and TF32;
/// one to three seconds each). Off by default. For the calling thread.
void set_fuse_inference(bool fuse);

}  // namespace ydistill::cuda
