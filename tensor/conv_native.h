// SPDX-License-Identifier: MIT
// Convolutions by our own kernels on dense NHWC, wherever they are faster than oneDNN, and in a
// build without it everywhere. docs/performance.md says by how much. YDISTILL_CONVOLUTIONS=own
// takes them wherever there are any, =onednn nowhere: to compare the two.
//
// 3x3 with stride 1, and with stride 2 where that is faster, goes by Winograd's algorithm in
// float32 (conv_winograd_kernels.h), the rest as a matrix product whose left factor is never made
// (conv_direct_kernels.h, conv_grad_weight.h). bfloat16 is widened as it is read and rounded as it
// is written; where the CPU multiplies it, the matrix products are of pairs of it, and with AMX all
// of it goes by tiles (conv_amx_kernels.h).
//
// Every output is summed by one thread, in an order that the shape alone decides: the same bits
// with any number of threads.
#pragma once

#include <ydistill/tensor/conv.h>

namespace ydistill::native {

/// Whether these kernels take that direction of the convolution of an x, or with the gradient of a
/// y, of that type. keeps_weights: what is laid out serves many calls, with pictures of any size; a
/// 1x1 in bfloat16 that is ours for few pictures and oneDNN's for many then has a copy of both.
/// Operands below are checked; weights, biases and their gradients are float32.
bool takes(ConvDirection direction, const Conv2dGeometry& g, DType dtype,
           bool keeps_weights = false);

/// y = convolution + bias, in bfloat16 or float32 where x is bfloat16. bias may be undefined.
/// Weights are laid out anew at every call: a step of training uses them once.
void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y);
/// y = silu(convolution + bias) + residual, for inference. residual and packed may be undefined and
/// null; what is laid out is kept in packed for `version`.
void conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& residual, const ChannelSlice& y,
                      PackedWeights* packed, uint64_t version);
/// Whether y may have other channels beside.
bool writes_slices(DType dtype);
void conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x);

/// The gradients of the weights and, where defined, of the bias are ADDED to what is there.
void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias);

/// "own kernels at the level avx2", empty where they are not used.
std::string name();

}  // namespace ydistill::native
