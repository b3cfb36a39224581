// SPDX-License-Identifier: MIT
// The formulas of restrict_classes.h, one output number at a time, for either backend.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

namespace ydistill {

/// The logit of p = sigmoid(x) sigmoid(a) / sigmoid(b), a < b. With
/// e^d = sigmoid(b) / sigmoid(a), (1 - p) / p = e^d (1 + e^-x) - 1 = (1 - e^-d) e^d + e^(d - x),
/// whose logarithm is taken from the larger exponent.
template <class T>
YD_HOST_DEVICE T logit_of_share(T x, T a, T b) {
  const T d = softplus(-a) - softplus(-b);
  const T top = x < T(0) ? d - x : d;
  const T logit = -(top + std::log(-std::expm1(-d) * std::exp(d - top) + std::exp(d - x - top)));
  return logit < x ? logit : x;  // rounding may lose d beside b, or e^-x beside 1
}

/// The logit of p = sigmoid(x) sigmoid(a): (1 - p) / p = e^-x + e^-a + e^-(x+a), in the same way.
template <class T>
YD_HOST_DEVICE T logit_of_product(T x, T a) {
  const T least = x < a ? x : a, other = x < a ? a : x, both = x + a;
  const T top = both < least ? both : least;
  return top - std::log(std::exp(top - least) + std::exp(top - other) + std::exp(top - both));
}

template <class T>
YD_HOST_DEVICE T largest_of(const T* logits, int64_t count) {
  T best = logits[0];
  for (int64_t i = 1; i < count; ++i) best = logits[i] > best ? logits[i] : best;
  return best;
}

/// One box, [5 + all] numbers, reduced to `classes` classes: class c is made of the box's classes
/// from ends[c - 1] to ends[c], exclusive.
template <class T>
struct RestrictedBox {
  const T* box;
  const int64_t* ends;
  int64_t classes, all;

  YD_HOST_DEVICE T objectness() const {
    const int64_t parts = ends[classes - 1];
    if (parts == all) return box[4];
    const T own = largest_of(box + 5, parts);
    if (classes == 1) return logit_of_product(box[4], own);
    const T other = largest_of(box + 5 + parts, all - parts);
    return own < other ? logit_of_share(box[4], own, other) : box[4];
  }
  /// i: below 5 + classes.
  YD_HOST_DEVICE T operator[](int64_t i) const {
    if (i < 4) return box[i];
    if (i == 4) return objectness();
    const int64_t begin = i == 5 ? 0 : ends[i - 6];
    return largest_of(box + 5 + begin, ends[i - 5] - begin);
  }
};

}  // namespace ydistill
