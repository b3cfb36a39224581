// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>

#include <ydistill/tensor/tensor.h>

namespace ydistill::test {

/// The larger of two errors; NaN once there was one, which no CHECK(worst < limit) passes.
inline double worse(double worst, double error) {
  return std::isnan(worst) || worst > error ? worst : error;
}

/// The worst difference beside the largest number expected; NaN where there is one.
inline double worst_relative(const Tensor& got, const Tensor& expected) {
  double worst = 0, scale = 1e-30;
  for (int64_t i = 0; i < got.numel(); ++i) {
    worst = worse(worst, std::abs(got.at(i) - expected.at(i)));
    scale = std::max(scale, std::abs(expected.at(i)));
  }
  return worst / scale;
}

}  // namespace ydistill::test
