// SPDX-License-Identifier: MIT
// Formulas of the feature term (feature_loss.h), for either backend.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// Sums over a channel of s and t, each minus a constant of that channel, so that a large mean
/// causes no cancellation.
struct FeatureSums {
  double s, ss, t, tt, st;
};

/// A channel's 1 - r and its gradient, slope_t (t - mean_t) + slope_s (s - mean_s). The means are
/// those of the shifted values that were summed.
struct FeatureDistance {
  double value, mean_s, mean_t, slope_s, slope_t;
};

/// rows: number of positions that were summed over, at least 1.
YD_HOST_DEVICE FeatureDistance feature_distance(const FeatureSums& sums, double rows) {
  constexpr double kEps = 1e-6;
  const double mean_s = sums.s / rows, mean_t = sums.t / rows;
  const double square_s = sums.ss / rows - mean_s * mean_s;
  const double square_t = sums.tt / rows - mean_t * mean_t;
  const double var_s = (square_s > 0 ? square_s : 0) + kEps;
  const double var_t = (square_t > 0 ? square_t : 0) + kEps;
  const double inverse = 1 / std::sqrt(var_s * var_t);
  const double r = (sums.st / rows - mean_s * mean_t) * inverse;
  return {1 - r, mean_s, mean_t, r / (var_s * rows), -inverse / rows};
}

}  // namespace ydistill
