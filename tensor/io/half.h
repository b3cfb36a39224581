// SPDX-License-Identifier: MIT
// IEEE 754 binary16, as stored in checkpoints. Only ever read.
#pragma once

#include <bit>
#include <cstdint>

namespace ydistill {

/// Exact for every value: subnormals, infinities, and NaN with its payload. Without branches, so
/// that loops over it vectorise.
inline float half_to_float(uint16_t half) {
  const uint32_t magnitude = uint32_t(half & 0x7fffu) << 13;
  // The same bits as a float lie 2^112 below, subnormals included.
  const uint32_t finite = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const uint32_t bits = (half & 0x7c00u) == 0x7c00u ? magnitude | 0x7f800000u : finite;
  return std::bit_cast<float>(bits | uint32_t(half & 0x8000u) << 16);
}

}  // namespace ydistill
