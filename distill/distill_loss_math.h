// SPDX-License-Identifier: MIT
// Formulas of the distillation loss, for either backend: s is the student's logit, t the teacher's.
// Derivatives are by s.
#pragma once

#include <cmath>

#include <ydistill/distill/distill_loss_kernels.h>
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

/// The objectness term of a box, weight included.
template <class T>
YD_HOST_DEVICE DistillValue<T> objectness_distance(T s, T t, T weight, DistillObjectnessTerm term) {
  if (term == DistillObjectnessTerm::kCrossEntropy) return sigmoid_cross_entropy(s, t);
  const DistillValue<T> value = term == DistillObjectnessTerm::kSquared
                                    ? squared_distance(s, t)
                                    : sigmoid_cross_entropy(s, t);
  return {weight * value.loss, weight * value.grad};
}

/// T^2 KL(q, p), q = softmax(t / T), p = softmax(s / T). With d = (t - s) / T, KL = sum q d - (log
/// sum e^(t/T) - log sum e^(s/T)), which is exactly zero for equal logits; the derivative by s is T
/// (p - q). Both softmaxes subtract their largest logit. Order of use: the largest logits; sums of
/// e_s, e_t and distance; value and gradients.
template <class T>
struct SoftmaxDivergence {
  T inverse;       // 1 / temperature
  T top_s, top_t;  // the largest logits

  YD_HOST_DEVICE T e_s(T s) const { return exp_fast((s - top_s) * inverse); }
  YD_HOST_DEVICE T e_t(T t) const { return exp_fast((t - top_t) * inverse); }
  YD_HOST_DEVICE T distance(T e_t, T s, T t) const { return e_t * ((t - top_t) - (s - top_s)); }
  YD_HOST_DEVICE T value(T sum_s, T sum_t, T sum_distance, T temperature) const {
    const T mean_distance = T(1) / sum_t * sum_distance;
    const T divergence = mean_distance * inverse - T(std::log(double(sum_t) / double(sum_s)));
    return temperature * temperature * divergence;
  }
  /// ratio = sum_s / sum_t, factor = scale T / sum_s. p - q = (e_s - e_t sum_s / sum_t) / sum_s:
  /// exactly zero for equal logits, even if the compiler fuses the multiplication and the
  /// subtraction.
  YD_HOST_DEVICE static T grad(T e_s, T e_t, T ratio, T factor) {
    return factor * (e_s - e_t * ratio);
  }
};

}  // namespace ydistill
