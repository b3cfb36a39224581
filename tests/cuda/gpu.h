// SPDX-License-Identifier: MIT
// A GPU for a test: a real one or the emulator, whichever the program was linked with.
#pragma once

#include <cstdlib>

#include <ydistill/tensor/cuda/device.h>

#include "support/catch.h"

/// Ends the test case as skipped where there is no GPU.
#define YD_NEEDS_GPU()                                               \
  do {                                                               \
    const std::string yd_reason = ::ydistill::cuda::why_no_device(); \
    if (!yd_reason.empty()) YD_SKIP("needs a GPU: " + yd_reason);    \
  } while (false)

namespace ydistill::test {

/// While it lives, the emulator runs the threads of a kernel from the last to the first. A real GPU
/// takes an order of its own anyway.
class OtherOrder {
 public:
  OtherOrder() { setenv("YDISTILL_CUDA_EMULATOR_ORDER", "reversed", 1); }
  ~OtherOrder() { unsetenv("YDISTILL_CUDA_EMULATOR_ORDER"); }
  OtherOrder(const OtherOrder&) = delete;
  OtherOrder& operator=(const OtherOrder&) = delete;
};

}  // namespace ydistill::test
