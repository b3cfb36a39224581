// SPDX-License-Identifier: MIT
// Another shape for the same numbers.
#pragma once

#include <ydistill/autograd/var.h>

namespace ydistill {

/// The result shares the memory of x. throws ShapeError if the sizes do not fit.
Var reshape(const Var& x, const Shape& shape);

}  // namespace ydistill
