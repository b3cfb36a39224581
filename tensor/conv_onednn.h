// SPDX-License-Identifier: MIT
// The oneDNN side of conv.h, float32 and bfloat16 (grad_y and x of one dtype, weights float32).
// Each function returns false if oneDNN has no optimised kernel; the caller then uses another.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>

namespace ydistill::onednn {

bool conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version);
/// Whether SiLU costs less inside the convolution than as a separate pass. Measured only without
/// AVX-512.
bool fuses_silu(DType dtype);
bool conv2d_bias_silu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                      const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version);
bool conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version);
bool conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias);
std::vector<std::string> plan_report();
/// For ConvStep: returns the argument of end_step.
uint64_t begin_step();
void end_step(uint64_t began);
std::string name();

}  // namespace ydistill::onednn
