// SPDX-License-Identifier: MIT
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill::cuda {

/// gather_samples of device_pictures.h, which checks; a packed plan is a GatherSample and its
/// steps.
void gather_samples(const Tensor& packed, const Tensor& images);

}  // namespace ydistill::cuda
