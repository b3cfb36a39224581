// SPDX-License-Identifier: MIT
// The oneDNN side of conv.h, float32. Each function returns false where oneDNN has no optimised
// kernel for the geometry: then the caller uses the plain loops.
#pragma once

#include <string>
#include <vector>

#include <ydistill/tensor/conv.h>

namespace ydistill::onednn {

bool conv2d_forward(const Conv2dGeometry& g, const float* x, const float* weight, const float* bias,
                    float* y, PackedWeights* packed, uint64_t version);
bool conv2d_backward_input(const Conv2dGeometry& g, const float* grad_y, const float* weight,
                           float* grad_x, PackedWeights* packed, uint64_t version);
bool conv2d_backward_weight(const Conv2dGeometry& g, const float* grad_y, const float* x,
                            float* grad_weight, float* grad_bias);
std::vector<std::string> plan_report();
std::string name();

}  // namespace ydistill::onednn
