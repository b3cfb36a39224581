// SPDX-License-Identifier: MIT
// Formulas of the distillation loss, for either backend: s is the student's logit, t the teacher's.
// Derivatives are by s.
#pragma once

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

namespace ydistill {

template <class T>
struct DistillValue {
  T loss, grad;
};

/// (s - t)^2
template <class T>
YD_HOST_DEVICE DistillValue<T> squared_distance(T s, T t) {
  const T d = s - t;
  return {d * d, T(2) * d};
}

/// (sigmoid(s) - ratio sigmoid(t))^2; ratio = sqrt(teacher's anchor / student's anchor), 1 for x, y
template <class T>
YD_HOST_DEVICE DistillValue<T> squared_sigmoid_distance(T s, T t, T ratio) {
  const T p = sigmoid(s);
  const T d = p - ratio * sigmoid(t);
  return {d * d, T(2) * d * p * (T(1) - p)};
}

/// -(q log p + (1 - q) log(1 - p)) with p = sigmoid(s), q = sigmoid(t); derivative p - q
template <class T>
YD_HOST_DEVICE DistillValue<T> sigmoid_cross_entropy(T s, T t) {
  const T q = sigmoid(t);
  return {softplus(s) - q * s, sigmoid(s) - q};
}

}  // namespace ydistill
