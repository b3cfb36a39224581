// SPDX-License-Identifier: MIT
// IEEE 754 binary16, as stored in checkpoints and written for other runtimes.
#pragma once

#include <bit>
#include <cstdint>

namespace ydistill {

/// Exact for every value: subnormals, infinities, and NaN with its payload. Branch-free, so that
/// loops over it vectorise.
inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = uint32_t(half & 0x7fffu) << 13;
  // Read as a float, these bits are the value times 2^-112, subnormals included.
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t bits = (half & 0x7c00u) == 0x7c00u ? magnitude | 0x7f800000u : finite;
  return std::bit_cast<float>(bits | uint32_t(half & 0x8000u) << 16);
}

/// The nearest half, ties to even; infinity from 65520 on. NaN stays NaN.
inline uint16_t float_to_half(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const uint16_t sign = uint16_t(bits >> 16 & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return uint16_t(sign | 0x7e00u);
  if (magnitude >= 0x477ff000u) return uint16_t(sign | 0x7c00u);  // 65520
  if (magnitude < 0x38800000u) {  // below 2^-14: a multiple of 2^-24, rounded by a float's own sum
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;  // of [0.5, 1) the last bit is 2^-24
    return uint16_t(sign | (std::bit_cast<uint32_t>(sum) - 0x3f000000u));
  }
  const uint32_t odd = magnitude >> 13 & 1u;
  return uint16_t(sign | ((magnitude - 0x38000000u + 0xfffu + odd) >> 13));
}

}  // namespace ydistill
