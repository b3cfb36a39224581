// SPDX-License-Identifier: MIT
// The two orders of a convolution's weights: OHWI in memory, OIHW in files.
#pragma once

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// [O,H,W,I] -> [O,I,H,W]; a copy of what is no convolution's weight (rank other than 4).
/// float32 or float64. throws DTypeError.
Tensor oihw_from_ohwi(const Tensor& ohwi);
/// The inverse.
Tensor ohwi_from_oihw(const Tensor& oihw);

}  // namespace ydistill
