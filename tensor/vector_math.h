// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): loops over numbers of any type, one register at a time. A Pack is
// kLanes numbers of float32 or of widened bfloat16, or one of float64.
#pragma once

#include <type_traits>

#if defined(__aarch64__)
#include <arm_neon.h>
#endif

#include <ydistill/tensor/register_tile.h>

namespace ydistill::YD_CPU_LEVEL {

template <class T>
using Pack = std::conditional_t<std::is_same_v<T, double>, double, Vector>;
template <class T>
inline constexpr int kPackOf = std::is_same_v<T, double> ? 1 : kLanes;

YD_HOST_DEVICE double load(const double* from) {
  return *from;
}
YD_HOST_DEVICE void store(double v, double* to) {
  *to = v;
}

/// a b + c, rounded once where the level has such an instruction. The compiler may fuse a product
/// with a sum in one copy of a loop and not in the next; what must be the same at every place of
/// the output says so by this.
YD_HOST_DEVICE Vector mul_add(const Vector& a, const Vector& b, const Vector& c) {
#if defined(__AVX512F__)
  return Vector(_mm512_fmadd_ps(__m512(a), __m512(b), __m512(c)));
#elif defined(__AVX2__) && defined(__FMA__)
  return Vector(_mm256_fmadd_ps(__m256(a), __m256(b), __m256(c)));
#elif defined(__aarch64__)
  return Vector(vfmaq_f32(float32x4_t(c), float32x4_t(a), float32x4_t(b)));
#else
  return a * b + c;
#endif
}
YD_HOST_DEVICE Vector mul_add(const Vector& a, const Vector& b, float c) {
  return mul_add(a, b, Vector{} + c);
}
YD_HOST_DEVICE Vector mul_add(const Vector& a, float b, float c) {
  return mul_add(a, Vector{} + b, Vector{} + c);
}

/// The first n < kLanes numbers, zeros behind them.
template <class T>
YD_HOST_DEVICE Vector load_first(const T* from, int64_t n) {
  T numbers[kLanes] = {};
  for (int64_t i = 0; i < n; ++i) numbers[i] = from[i];
  return load(numbers);
}
template <class T>
YD_HOST_DEVICE void store_first(const Vector& v, T* to, int64_t n) {
  T numbers[kLanes];
  store(v, numbers);
  for (int64_t i = 0; i < n; ++i) to[i] = numbers[i];
}

/// to[i] += number i of v, i < n <= kPack.
template <int kPack>
YD_HOST_DEVICE void add_to(const auto& v, double* to, int64_t n) {
  std::conditional_t<kPack == 1, double, float> numbers[kPack];
  store(v, numbers);
#pragma GCC ivdep
  for (int64_t i = 0; i < n; ++i) to[i] += double(numbers[i]);
}

/// A position in arrays: the numbers from `at` on, a Pack or fewer.
struct WholePack {
  int64_t at;
  template <int kPack>
  YD_HOST_DEVICE void add(const auto& v, double* to) const {
    add_to<kPack>(v, to + at, kPack);
  }
  YD_HOST_DEVICE auto load(const auto* from) const { return YD_CPU_LEVEL::load(from + at); }
  YD_HOST_DEVICE void store(const auto& v, auto* to) const { YD_CPU_LEVEL::store(v, to + at); }
  YD_HOST_DEVICE WholePack after(int64_t offset) const { return {offset + at}; }
};
struct FirstOfPack {
  int64_t at, count;
  template <int kPack>
  YD_HOST_DEVICE void add(const auto& v, double* to) const {
    add_to<kPack>(v, to + at, count);
  }
  YD_HOST_DEVICE auto load(const auto* from) const { return load_first(from + at, count); }
  YD_HOST_DEVICE void store(const auto& v, auto* to) const { store_first(v, to + at, count); }
  YD_HOST_DEVICE FirstOfPack after(int64_t offset) const { return {offset + at, count}; }
};

/// f(place) for places that cover [0, n). f is passed by value, so that the compiler knows that f's
/// stores do not change its captures.
template <class T, class F>
YD_HOST_DEVICE void for_each_pack(int64_t n, F f) {
  constexpr int64_t kPack = kPackOf<T>;
  int64_t i = 0;
  for (; i + kPack <= n; i += kPack) f(WholePack{i});
  if constexpr (kPack > 1) {
    if (i < n) f(FirstOfPack{i, n - i});
  }
}

/// f of each number.
template <class F>
YD_HOST_DEVICE Vector map(const Vector& v, const F& f) {
  float numbers[kLanes];
  store(v, numbers);
#pragma GCC ivdep
  for (int i = 0; i < kLanes; ++i) numbers[i] = f(numbers[i]);
  return load(numbers);
}

/// sigmoid_bf16 of each number, relative error below 2e-4 from -87 on, then maybe zero. With
/// AVX-512 in half the instructions: what 2^t needs, and 1 / d to 6e-5, are one each, and nothing
/// overflows.
YD_HOST_DEVICE Vector sigmoid_bf16(const Vector& x) {
#if defined(__AVX512F__) && defined(__AVX512DQ__)
  const Vector t = x * -1.44269504f;
  constexpr int kDown = 0x09;
  constexpr __mmask16 kAll = 0xffff;
  const Vector f = Vector(_mm512_maskz_reduce_ps(kAll, __m512(t), kDown));  // t - floor(t)
  // 2^f by the polynomial of degree 3 with the least relative error, 8e-5.
  Vector p = mul_add(f, 7.802455e-2f, 2.2606719e-1f);
  p = mul_add(p, f, 6.958335e-1f);
  p = mul_add(p, f, 9.9992526e-1f);
  const Vector e = Vector(_mm512_maskz_scalef_ps(kAll, __m512(p), __m512(t)));  // p 2^floor(t)
  return Vector(_mm512_maskz_rcp14_ps(kAll, __m512(1.0f + e)));
#elif defined(__AVX2__) && !defined(__AVX512F__)
  // As in math.h, but for what limits x and for 1 / d, which begins with the processor's guess,
  // good to 4e-4. Which guess that is differs between makes of processors; one step of Newton's
  // leaves 2e-7 of it.
  constexpr float kMost = 125.5f;  // 87 log2(e)
  const __m256 below = _mm256_min_ps(__m256(x * -1.44269504f), _mm256_set1_ps(kMost));
  const Vector t = Vector(_mm256_max_ps(below, _mm256_set1_ps(-kMost)));
  const Vector shifted = t + kRoundShift, f = t - (shifted - kRoundShift);
  Vector p = mul_add(f, 5.517167e-2f, 2.4261113e-1f);
  p = mul_add(p, f, 6.9326099e-1f);
  p = mul_add(p, f, 9.9992807e-1f);
  const Vector d = 1.0f + Vector(Bits(p) + (Bits(shifted) << 23));
  const Vector r = Vector(_mm256_rcp_ps(__m256(d)));
  return r * mul_add(-d, r, 2.0f);
#else
  return map(x, [](float value) { return ydistill::sigmoid_bf16(value); });
#endif
}

/// silu and silu_grad to the precision that T, the type of what is stored, can show.
template <class T>
YD_HOST_DEVICE Pack<T> silu_for(const Pack<T>& x) {
  if constexpr (std::is_same_v<T, double>) {
    return silu(x);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    return x * sigmoid_bf16(x);
  } else {
    return map(x, [](float value) { return silu(value); });
  }
}
template <class T>
YD_HOST_DEVICE Pack<T> silu_grad_for(const Pack<T>& x) {
  if constexpr (std::is_same_v<T, double>) {
    return silu_grad(x);
  } else if constexpr (std::is_same_v<T, BFloat16>) {
    const Vector s = sigmoid_bf16(x);
    return s * mul_add(x, 1.0f - s, 1.0f);
  } else {
    return map(x, [](float value) { return silu_grad(value); });
  }
}

/// What comes after a convolution: y = silu(sums) + residual, as the flags say.
template <bool kSilu, bool kResidual, class T>
YD_HOST_DEVICE void finish(Vector value, const auto& at, const T* residual, T* y) {
  if constexpr (kSilu) value = silu_for<T>(value);
  if constexpr (kResidual) value += at.load(residual);
  at.store(value, y);
}
template <bool kSilu, bool kResidual, class T>
YD_HOST_DEVICE void finish_channels(const float* sums, const T* residual, int64_t channels, T* y) {
  for_each_pack<T>(
      channels, [&](const auto& c) __attribute__((always_inline)) {
        finish<kSilu, kResidual>(c.load(sums), c, residual, y);
      });
}

}  // namespace ydistill::YD_CPU_LEVEL
