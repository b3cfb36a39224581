// SPDX-License-Identifier: MIT
// cuDNN's answer for a GPU that is described, not present.
#pragma once

#include <cstdint>
#include <string>

#include <ydistill/tensor/cuda/conv_engine.h>

namespace ydistill::cuda {

/// How many plans cuDNN's rules list for the problem on the device that `device_description`
/// (cuDNN's own JSON form) describes; 0 with the reason where there are none. Needs no GPU, but
/// cuDNN 9.8 and a libcuda.so.1 that can be loaded (the toolkit's stub will do). throws
/// LibraryError for a description that cuDNN does not take.
int64_t count_conv_candidates(const ConvProblem& problem, const std::string& device_description,
                              std::string& reason);

}  // namespace ydistill::cuda
