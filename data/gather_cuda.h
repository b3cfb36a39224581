// SPDX-License-Identifier: MIT
#pragma once

#include <ydistill/data/augment.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill::cuda {

/// gather_samples of device_pictures.h, without its checks. A packed plan begins with a PackedPlan.
void gather_samples(const Tensor& packed, const PlanRoom& room, const Tensor& images);

}  // namespace ydistill::cuda
