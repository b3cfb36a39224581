// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>

namespace ydistill::test {

/// The larger of two errors; NaN once there was one, which no CHECK(worst < limit) passes.
inline double worse(double worst, double error) {
  return std::isnan(worst) || worst > error ? worst : error;
}

}  // namespace ydistill::test
