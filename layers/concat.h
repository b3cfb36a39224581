// SPDX-License-Identifier: MIT
// Concatenation along the channels.
#pragma once

#include <vector>

#include <ydistill/autograd/var.h>

namespace ydistill {

/// xs: one or more [N,H,W,C_i]; returns [N,H,W,sum C_i], the inputs' channels one after another. A
/// copy: convolutions read dense tensors only. Backward splits the gradient.
/// throws ShapeError, DTypeError.
Var concat(const std::vector<Var>& xs);

}  // namespace ydistill
