// SPDX-License-Identifier: MIT
// Scalar formulas shared by all folders, for CPU and GPU. Float versions are branch-free
// polynomials, so that plain loops over them vectorise; double versions use the standard library.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// x, or beyond the limit > 0 and for a NaN the limit with x's sign. In integers, because of two
/// comparisons with constants compilers make three copies of all that follows.
YD_HOST_DEVICE float limit_magnitude(float x, float limit) {
  const int32_t bits = __builtin_bit_cast(int32_t, x);
  const int32_t magnitude = bits & 0x7fffffff, most = __builtin_bit_cast(int32_t, limit);
  const int32_t limited = magnitude < most ? magnitude : most;
  return __builtin_bit_cast(float, limited | (bits ^ magnitude));
}

/// 2^n of a float p in [1/2, 2): n added to the bits of its exponent. `shifted` is n + kRoundShift.
YD_HOST_DEVICE float times_power_of_2(float p, float shifted) {
  return __builtin_bit_cast(
      float, __builtin_bit_cast(int32_t, p) + (__builtin_bit_cast(int32_t, shifted) << 23));
}
constexpr float kRoundShift = 12582912.0f;  // 1.5 * 2^23: what is added to it becomes an integer

/// exp_fast(x), except that a NaN gives an unspecified number.
YD_HOST_DEVICE float exp_of_number(float x) {
  x = limit_magnitude(x, 87.3f);
  const float shifted = x * 1.44269504f + kRoundShift;
  const float n = shifted - kRoundShift;
  const float r = (x - n * 0.693145752f) - n * 1.42860677e-6f;
#if defined(__CUDA_ARCH__)
  float p;  // the GPU's own 2^x, good to 2 units in the last place on [-1/2, 1/2]
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(p) : "f"(r * 1.44269504f));
#else
  float p = 1.38145402e-3f;
  p = p * r + 8.36874511e-3f;
  p = p * r + 4.16683908e-2f;
  p = p * r + 1.66665204e-1f;
  p = p * r + 4.99999934e-1f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
#endif
  return times_power_of_2(p, shifted);
}

/// e^x for x in [-87.3, 87.3], relative error below 2e-7; beyond, that of +-87.3 (never 0 or
/// infinite). Cody-Waite reduction x = n ln2 + r with |r| <= ln2 / 2, then the polynomial
/// 1 + r + r^2 q(r) of degree 6 with the least relative error, 3e-9.
YD_HOST_DEVICE float exp_fast(float x) {
  const float e = exp_of_number(x);
  return x != x ? x : e;
}
YD_HOST_DEVICE double exp_of_number(double x) {
  return std::exp(x);
}
YD_HOST_DEVICE double exp_fast(double x) {
  return std::exp(x);
}

/// x / y for y >= 1; in float on a GPU within 2 ulp, at a fraction of the cost.
template <class T>
YD_HOST_DEVICE T divide(T x, T y) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(T) == sizeof(float)) return __fdividef(x, y);
#endif
  return x / y;
}

/// 1 / (1 + e^-x)
template <class T>
YD_HOST_DEVICE T sigmoid(T x) {
  return divide(T(1), T(1) + exp_fast(-x));
}

/// e^-x as the addend of 1 in a denominator; a GPU's may be 0 or infinite. There one multiplication
/// and its own 2^x are enough: rounding the product is felt only where e^-x is far from 1, and silu
/// and its derivative are as near to their true values as with an exact e^-x. Half the instructions
/// of a pass over activations are saved, which would else not keep up with the memory.
YD_HOST_DEVICE float exp_beside_one(float x) {
#if defined(__CUDA_ARCH__)
  float e;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(e) : "f"(x * -1.44269504f));
  return e;
#else
  return exp_of_number(-x);
#endif
}
YD_HOST_DEVICE double exp_beside_one(double x) {
  return exp_of_number(-x);
}

/// x sigmoid(x), also known as swish (Elfwing et al. 2018).
template <class T>
YD_HOST_DEVICE T silu(T x) {
  return divide(x, T(1) + exp_beside_one(x));  // a NaN stays one
}

/// d silu / dx = s (1 + x (1 - s)), s = sigmoid(x)
template <class T>
YD_HOST_DEVICE T silu_grad(T x, T s) {
  return s * (T(1) + x * (T(1) - s));
}
template <class T>
YD_HOST_DEVICE T silu_grad(T x) {
  return silu_grad(x, divide(T(1), T(1) + exp_beside_one(x)));
}

// For results that are rounded to bfloat16, whose own error is up to 2^-8 = 4e-3: about half the
// work on a CPU.

/// 1 / (1 + e^-x), relative error below 1e-4; a NaN gives an unspecified number.
YD_HOST_DEVICE float sigmoid_bf16(float x) {
  const float number = limit_magnitude(x, 87.0f);
  // 2^t = 2^n 2^f with |f| <= 1/2; 2^f by a polynomial of the least relative error at that degree:
  // 8e-5.
  const float t = number * -1.44269504f;
  const float shifted = t + kRoundShift;
  const float f = t - (shifted - kRoundShift);
  float p = 5.517167e-2f;
  p = p * f + 2.4261113e-1f;
  p = p * f + 6.9326099e-1f;
  p = p * f + 9.9992807e-1f;
  const float e = times_power_of_2(p, shifted);
  // Newton's iteration for 1 / d from a guess that is good to 5 %: 3e-3, then 7e-6.
  const float d = 1.0f + e;
  float r = __builtin_bit_cast(float, 0x7ef311c7 - __builtin_bit_cast(int32_t, d));
  r = r * (2.0f - d * r);
  return r * (2.0f - d * r);
}

/// log(1 + u) for u in [0, 1], as 2 atanh(z) with z = u / (2 + u) <= 1/3: seven terms of the odd
/// series, relative error below 4e-7 (of which 2e-8 from leaving off the rest).
YD_HOST_DEVICE float log1p_unit(float u) {
  const float z = u / (2.0f + u);
  const float q = z * z;
  float p = 1.53846154e-1f;
  p = p * q + 1.81818182e-1f;
  p = p * q + 2.22222222e-1f;
  p = p * q + 2.85714286e-1f;
  p = p * q + 0.4f;
  p = p * q + 6.66666667e-1f;
  p = p * q + 2.0f;
  return z * p;
}
YD_HOST_DEVICE double log1p_unit(double u) {
  return std::log1p(u);
}

/// log x for x in [2^-126, 2^127]; below, that of 2^-126. x = 2^n m with m in [2/3, 4/3), log m as
/// 2 atanh(z) with z = (m - 1) / (m + 1), |z| <= 1/5: relative error below 3e-7, 0 at 1.
YD_HOST_DEVICE float log_fast(float x) {
  x = x > 1.17549435e-38f ? x : 1.17549435e-38f;
  // Above the bits of 2/3, what the mantissa lacks to 4/3 carries into the exponent.
  const int32_t bits = __builtin_bit_cast(int32_t, x) - 0x3f2aaaab;
  const float n = float(bits >> 23);
  const float m = __builtin_bit_cast(float, (bits & 0x007fffff) + 0x3f2aaaab);
  const float z = (m - 1.0f) / (m + 1.0f);
  const float q = z * z;
  float p = 1.81818182e-1f;
  p = p * q + 2.22222222e-1f;
  p = p * q + 2.85714286e-1f;
  p = p * q + 0.4f;
  p = p * q + 6.66666667e-1f;
  p = p * q + 2.0f;
  return n * 0.693145752f + (n * 1.42860677e-6f + z * p);
}

/// log(1 + e^x) without overflow.
template <class T>
YD_HOST_DEVICE T softplus(T x) {
  return (x > T(0) ? x : T(0)) + log1p_unit(exp_fast(x > T(0) ? -x : x));
}

/// Binary cross entropy of a logit x against a target t in [0, 1], the positive part weighted:
///   -(w t log s + (1 - t) log(1 - s)), s = sigmoid(x)
template <class T>
YD_HOST_DEVICE T bce_with_logits(T x, T t, T pos_weight) {
  return pos_weight * t * softplus(-x) + (T(1) - t) * softplus(x);
}

/// d bce_with_logits / dx = (1 - t) s - w t (1 - s)
template <class T>
YD_HOST_DEVICE T bce_with_logits_grad(T x, T t, T pos_weight) {
  const T s = sigmoid(x);
  return (T(1) - t) * s - pos_weight * t * (T(1) - s);
}

}  // namespace ydistill
