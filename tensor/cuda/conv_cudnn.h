// SPDX-License-Identifier: MIT
// cuDNN's candidates for a GPU that is only described, not present.
#pragma once

#include <cstdint>
#include <string>

#include <ydistill/tensor/cuda/conv_engine.h>

namespace ydistill::cuda {

/// The plans that cuDNN's rules list for a convolution, less those that run_conv_engine leaves out.
struct ConvCandidates {
  int64_t count = 0;
  std::string first;            ///< cuDNN's name of the plan it expects to be fastest
  int64_t workspace_bytes = 0;  ///< of the plan that was built
  std::string saved;            ///< the same plan as cuDNN writes it, see ConvPlan::saved
  std::string reason;           ///< why there is none
};

/// The plans that run_conv_engine could choose from on the device that `device_description`
/// (cuDNN's own JSON form) describes; one of them is built, unless it is fused. `result` is the
/// dtype of the output. Needs no GPU, only cuDNN 9.8 and a libcuda.so.1 that can be loaded (the
/// toolkit's stub is enough).
/// throws LibraryError for a description that cuDNN does not take.
ConvCandidates conv_candidates(const ConvProblem& problem, const std::string& device_description,
                               DType result);

}  // namespace ydistill::cuda
