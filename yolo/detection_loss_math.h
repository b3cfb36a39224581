// SPDX-License-Identifier: MIT
// Formulas of the detection loss, shared by CPU and GPU: each gives a value and its derivative.
#pragma once

#include <cmath>

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>
#include <ydistill/yolo/box_iou_math.h>

namespace ydistill {

template <class T>
struct LossAndGrad {
  T loss, grad;
};

/// bce_with_logits and its derivative by the logit, and s = sigmoid(x) and 1 - s; one exponential
/// serves all. Branch-free.
template <class T>
struct BceParts {
  T loss, grad, s, one_minus_s;

  YD_HOST_DEVICE BceParts(T x, T target, T pos_weight) {
    const T e = exp_fast(x > T(0) ? -x : x);  // e^-|x|
    const T log1p_e = log1p_unit(e);
    const T larger = T(1) / (T(1) + e), smaller = e / (T(1) + e);
    s = x > T(0) ? larger : smaller;
    one_minus_s = x > T(0) ? smaller : larger;
    const T minus_log_s = (x > T(0) ? T(0) : -x) + log1p_e;
    const T minus_log_one_minus_s = (x > T(0) ? x : T(0)) + log1p_e;
    const T positive = pos_weight * target, negative = T(1) - target;
    loss = positive * minus_log_s + negative * minus_log_one_minus_s;
    grad = negative * s - positive * one_minus_s;
  }
};

template <class T>
YD_HOST_DEVICE LossAndGrad<T> bce_and_grad(T x, T target, T pos_weight) {
  const BceParts<T> bce(x, target, pos_weight);
  return {bce.loss, bce.grad};
}

/// Focal loss (Lin et al. 2017) for soft targets, as YOLOv5 defines it:
///   BCE (t alpha + (1 - t) (1 - alpha)) q^gamma, q = t (1 - s) + (1 - t) s, alpha = 0.25
/// power(q) = q^(gamma - 1), which gives both q^gamma and its derivative.
template <class T, class Power>
YD_HOST_DEVICE LossAndGrad<T> focal_and_grad(T x, T target, T pos_weight, T gamma,
                                             const Power& power) {
  const BceParts<T> bce(x, target, pos_weight);
  const T q = target * bce.one_minus_s + (T(1) - target) * bce.s;
  const T weight = target * T(0.25) + (T(1) - target) * T(0.75);
  const T lower = power(q);
  const T slope = (T(1) - T(2) * target) * bce.s * bce.one_minus_s;  // d q / d x
  return {weight * bce.loss * (q * lower),
          weight * (bce.grad * (q * lower) + bce.loss * gamma * lower * slope)};
}

/// q^exponent for q in [0, 1], any exponent; 0 for q = 0, so that a perfect prediction has no
/// gradient.
template <class T>
struct AnyPower {
  T exponent;
  YD_HOST_DEVICE T operator()(T q) const {
    if constexpr (sizeof(T) == sizeof(float)) {
#if defined(__CUDA_ARCH__)
      return q > T(0) ? powf(q, exponent) : T(0);
#else
      return q > T(0) ? exp_fast(exponent * log_fast(q)) : T(0);
#endif
    } else {
      return q > T(0) ? std::pow(q, exponent) : T(0);
    }
  }
};

/// q^(1/2), for gamma = 3/2, the default of YOLOv5's FocalLoss.
template <class T>
struct RootPower {
  YD_HOST_DEVICE T operator()(T q) const { return T(std::sqrt(q)); }
};

/// q, for gamma = 2.
template <class T>
struct FirstPower {
  YD_HOST_DEVICE T operator()(T q) const { return q; }
};

/// CIoU of a head's box with its target, and the derivative by its four logits; lengths in cells.
///   x = 2 sigmoid(tx) - 0.5, y likewise, relative to the cell
///   w = (2 sigmoid(tw))^2 anchor_w, h likewise
template <class T>
struct BoxCIoU {
  T value;
  T grad[4];
};

template <class T>
YD_HOST_DEVICE BoxCIoU<T> box_ciou(const T* logits, T anchor_w, T anchor_h, T x, T y, T w, T h) {
  T s[4], slope[4];
  for (int i = 0; i < 4; ++i) {
    s[i] = sigmoid(logits[i]);
    slope[i] = s[i] * sigmoid(-logits[i]);
  }
  const CIoU<T> c = ciou(T(2) * s[0] - T(0.5), T(2) * s[1] - T(0.5), T(4) * s[2] * s[2] * anchor_w,
                         T(4) * s[3] * s[3] * anchor_h, x, y, w, h);
  return {
      c.value,
      {c.grad_x * T(2) * slope[0], c.grad_y * T(2) * slope[1],
       c.grad_w * T(8) * anchor_w * s[2] * slope[2], c.grad_h * T(8) * anchor_h * s[3] * slope[3]}};
}

}  // namespace ydistill
