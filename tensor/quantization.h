// SPDX-License-Identifier: MIT
// Affine quantization of real numbers to bytes.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/error.h>

namespace ydistill {

/// real = scale (byte - zero_point). Zero is always exactly representable, because convolutions pad
/// with it. (Jacob et al., arXiv 1712.05877.)
struct Quantization {
  float scale = 1;
  int32_t zero_point = 0;  ///< 0..255
  bool operator==(const Quantization&) const = default;

  float real(uint8_t byte) const { return scale * float(int32_t(byte) - zero_point); }
};

/// Of pictures: 0 to 1, the range of the network's input.
inline constexpr Quantization kPictureQuantization{1.0f / 255, 0};

/// The quantization of the range low to high, extended to include 0.
/// throws ValueError unless both are finite and the scale and its inverse are finite in float32.
inline Quantization quantization_of(double low, double high) {
  constexpr double kSteps = 255;
  if (!std::isfinite(low) || !std::isfinite(high)) {
    throw ValueError("quantization: a range of finite numbers wanted, got {} to {}", low, high);
  }
  low = std::fmin(low, 0);
  high = std::fmax(high, 0);
  const double scale = (high - low) / kSteps;
  if (!std::isfinite(float(scale)) || !std::isfinite(1 / float(scale))) {
    throw ValueError("quantization: the range {} to {} has no 256 numbers", low, high);
  }
  return {float(scale), int32_t(std::lround(-low / scale))};
}

}  // namespace ydistill
