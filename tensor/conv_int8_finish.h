// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): from the sums of conv_int8_kernels.h to bytes or float32.
#pragma once

#include <ydistill/tensor/conv_int8_kernels.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

using Sums [[gnu::vector_size(kLanes * sizeof(int32_t))]] = int32_t;

/// What the zero point of a residual adds to the output, in its steps.
template <bool kResidual>
YD_HOST_DEVICE float shift_of(const Int8Scales& scales) {
  return kResidual ? -scales.residual_zero * scales.residual_steps : 0.0f;
}

/// convolution + bias
YD_HOST_DEVICE Vector real_of(const Int8Scales& scales, const float* biases, const Sums& sum,
                              const auto& at) {
  return mul_add(__builtin_convertvector(sum, Vector), at.load(scales.multipliers),
                 at.load(biases));
}

/// The output in its steps, before it is rounded.
template <bool kSilu, bool kResidual>
YD_HOST_DEVICE Vector steps_of(const Int8Scales& scales, const Sums& sum, const auto& at,
                               const uint8_t* residual) {
  Vector value = real_of(scales, scales.biases, sum, at);
  // A step of 1/256 of the range hides what sigmoid_bf16 is off by.
  if constexpr (kSilu) value = value * sigmoid_bf16(value);
  value = mul_add(value, scales.y_steps, scales.y_zero + shift_of<kResidual>(scales));
  if constexpr (kResidual) {
    value = mul_add(at.load(residual), Vector{} + scales.residual_steps, value);
  }
  return value;
}

#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512BW__)
#define YD_HAVE_PACKED_STEPS

/// steps_of() of less than 2^31, with SiLU by the polynomials of Int8Scales: three instructions
/// look up, two multiply and two find the place, where a sigmoid has ten.
template <bool kResidual>
class SiluSteps {
 public:
  YD_HOST_DEVICE explicit SiluSteps(const Int8Scales& scales) : scales_(scales) {
    for (int i = 0; i < 3; ++i) {
      low_[i] = load(scales.silu[i]);
      high_[i] = load(scales.silu[i] + kLanes);
    }
    if constexpr (!kResidual) return;
    low_[0] += shift_of<kResidual>(scales);
    high_[0] += shift_of<kResidual>(scales);
  }
  YD_HOST_DEVICE Vector operator()(const Sums& sum, const auto& at, const uint8_t* residual) const {
    constexpr int kLeastSize = 2;  // of the two numbers' sizes, with the sign of the first
    constexpr __mmask16 kAll = 0xffff;
    const Vector t = real_of(scales_, scales_.silu_biases, sum, at);
    const __m512 inside =
        _mm512_maskz_range_ps(kAll, __m512(t), __m512(Vector{} + scales_.silu_limit), kLeastSize);
    // The last bits of the sum are its rounded value; of them five choose a piece.
    const __m512i piece =
        __m512i(_mm512_fmadd_round_ps(inside, __m512(Vector{} + scales_.silu_pieces),
                                      __m512(Vector{} + (kRoundShift + kSiluPieces / 2)),
                                      _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC));
    const auto look_up = [&](int i) __attribute__((always_inline)) {
      return Vector(_mm512_permutex2var_ps(__m512(low_[i]), piece, __m512(high_[i])));
    };
    Vector steps = mul_add(mul_add(look_up(2), t, look_up(1)), t, look_up(0));
    if constexpr (kResidual) {
      steps = mul_add(at.load(residual), Vector{} + scales_.residual_steps, steps);
    }
    return steps;
  }

 private:
  const Int8Scales& scales_;
  Vector low_[3], high_[3];
};

/// The bytes of 64 outputs of less than 2^31 steps: first those of v[0], then of v[1] and so on.
/// Signed 16 bits on the way limit them as the bytes do.
YD_HOST_DEVICE __m512i pack_bytes(const Vector (&v)[4]) {
  constexpr __mmask16 kAll = 0xffff;
  const auto integers = [&](int i) __attribute__((always_inline)) {
    return _mm512_maskz_cvtps_epi32(kAll, __m512(v[i]));
  };
  // These pack 128 bits at a time: four bytes of each vector in turns.
  const __m512i mixed = _mm512_packus_epi16(_mm512_packs_epi32(integers(0), integers(1)),
                                            _mm512_packs_epi32(integers(2), integers(3)));
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_maskz_permutexvar_epi32(kAll, order, mixed);
}

/// Outputs of kColumns vectors each, 64 bytes together: with SiLU to bytes. sum(i, v), residual(i)
/// and put(i, bytes) are output i's.
template <int kColumns, bool kResidual>
YD_HOST_DEVICE void finish_bytes(const SiluSteps<kResidual>& silu, int64_t channel, const auto& sum,
                                 const auto& residual, const auto& put) {
  Vector steps[4];
  for (int i = 0; i < 4; ++i) {
    const int v = i % kColumns;
    steps[i] = silu(sum(i / kColumns, v), WholePack{channel + v * kLanes}, residual(i / kColumns));
  }
  const __m512i bytes = pack_bytes(steps);
  if constexpr (kColumns == 2) {
    put(0, __builtin_shufflevector(bytes, bytes, 0, 1, 2, 3));
    put(1, __builtin_shufflevector(bytes, bytes, 4, 5, 6, 7));
  } else {
    put(0, __builtin_shufflevector(bytes, bytes, 0, 1));
    put(1, __builtin_shufflevector(bytes, bytes, 2, 3));
    put(2, __builtin_shufflevector(bytes, bytes, 4, 5));
    put(3, __builtin_shufflevector(bytes, bytes, 6, 7));
  }
}
#endif

/// In memory sums are floats of the same bits.
struct Int8Finish {
  using Sum = Sums;
  template <bool kSilu, bool kResidual, class Y>
  static YD_HOST_DEVICE void finish(const DirectConv& conv, const Sums& sum, const auto& at,
                                    const Y* residual, Y* y) {
    const Int8Scales& scales = *conv.scales;
    if constexpr (sizeof(Y) > 1) {
      at.store(real_of(scales, scales.biases, sum, at), y);
    } else {
#if defined(YD_HAVE_PACKED_STEPS)
      if constexpr (kSilu) {
        if (scales.fits_32_bits) {
          at.store(SiluSteps<kResidual>(scales)(sum, at, residual), y);
          return;
        }
      }
#endif
      at.store(steps_of<kSilu, kResidual>(scales, sum, at, residual), y);
    }
  }
};

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
