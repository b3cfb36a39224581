// SPDX-License-Identifier: MIT
// A GPU for a test: a real one or the emulator, whichever the program was linked with.
#pragma once

#include <ydistill/tensor/cuda/device.h>

#include "support/catch.h"

/// Ends the test case as skipped where there is no GPU.
#define YD_NEEDS_GPU()                                               \
  do {                                                               \
    const std::string yd_reason = ::ydistill::cuda::why_no_device(); \
    if (!yd_reason.empty()) YD_SKIP("needs a GPU: " + yd_reason);    \
  } while (false)
