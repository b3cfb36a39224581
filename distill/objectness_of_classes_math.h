// SPDX-License-Identifier: MIT
// The objectness of a head's own classes (objectness_of_classes.h), box by box, for either backend.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// The logit of sigmoid(a) sigmoid(b): 1 / p = (1 + e^-a)(1 + e^-b), so that
/// (1 - p) / p = e^-a + e^-b + e^-(a+b), whose logarithm is taken from the largest of the three.
template <class T>
YD_HOST_DEVICE T logit_of_product(T a, T b) {
  const T least = a < b ? a : b, other = a < b ? b : a, both = a + b;
  const T top = both < least ? both : least;
  return top - std::log(std::exp(top - least) + std::exp(top - other) + std::exp(top - both));
}

/// box: [5 + classes], width in all.
template <class T>
YD_HOST_DEVICE T objectness_of_classes(const T* box, int64_t width) {
  T best = box[5];
  for (int64_t c = 6; c < width; ++c) best = box[c] > best ? box[c] : best;
  return logit_of_product(box[4], best);
}

}  // namespace ydistill
