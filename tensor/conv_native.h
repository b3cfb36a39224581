// SPDX-License-Identifier: MIT
// Convolutions by our own kernels on dense NHWC, where they are faster than oneDNN, and everywhere
// in a build without it. docs/performance.md has the speedups. To compare the two,
// YDISTILL_CONVOLUTIONS=own uses them wherever they exist, =onednn never.
//
// 3x3 with stride 1, and with stride 2 where that is faster, uses Winograd's algorithm in float32
// (conv_winograd_kernels.h), the rest a matrix product whose left factor is never materialised
// (conv_direct_kernels.h, conv_grad_weight.h). bfloat16 is widened when read and rounded when
// written; if the CPU multiplies bfloat16, the matrix products use pairs of it, and with AMX all
// bfloat16 convolutions use tiles (conv_amx_kernels.h).
//
// Every output is summed by one thread, in an order that depends only on the shape: the same bits
// with any number of threads.
#pragma once

#include <ydistill/tensor/conv.h>

namespace ydistill::native {

/// Whether these kernels compute that direction of the convolution for an x (or gradient of y) of
/// that type. keeps_weights: packed weights are kept for many calls, with pictures of any size; a
/// 1x1 in bfloat16 for which ours is faster with few pictures and oneDNN with many then keeps both
/// copies. The operands of the functions below are already checked; weights, biases and their
/// gradients are float32.
bool takes(ConvDirection direction, const Conv2dGeometry& g, DType dtype,
           bool keeps_weights = false);

/// y = convolution + bias; y may be float32 or bfloat16 if x is bfloat16. bias may be undefined.
/// Weights are packed at every call, because a training step uses them once.
void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y);
/// y = silu(convolution + bias) + residual, for inference. residual may be undefined, packed null;
/// the packed weights are kept in `packed` for `version`.
void conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& residual, const ChannelSlice& y,
                      PackedWeights* packed, uint64_t version);
/// Whether y may be a channel slice of a wider tensor.
bool writes_slices(DType dtype);
void conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x);

/// ADDS the gradients of the weights and, if defined, of the bias.
void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias);

/// "own kernels at the level avx2"; empty if they are not used.
std::string name();

}  // namespace ydistill::native
