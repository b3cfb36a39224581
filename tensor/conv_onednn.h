// SPDX-License-Identifier: MIT
// The oneDNN side of conv.h, float32 and bfloat16 (grad_y and x of one dtype, weights float32).
// Each function returns false where oneDNN has no optimised kernel: then the caller has another
// way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>

namespace ydistill::onednn {

bool conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version);
/// Whether SiLU costs less inside the convolution than as a pass of its own. Measured without
/// AVX-512 only.
bool fuses_silu(DType dtype);
bool conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version);
bool conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version);
bool conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias);
std::vector<std::string> plan_report();
/// Of ConvStep: returns what end_step takes.
uint64_t begin_step();
void end_step(uint64_t began);
std::string name();

}  // namespace ydistill::onednn
