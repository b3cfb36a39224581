// SPDX-License-Identifier: MIT
// Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3", SC 2011). A stream is identified by up to four numbers (seed, epoch, picture, purpose),
// so the numbers never depend on which thread draws them or when.
#pragma once

#include <array>
#include <cstdint>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

class Rng {
 public:
  /// The stream of these four numbers. Equal arguments give equal numbers, on every machine.
  explicit Rng(uint64_t seed, uint64_t epoch = 0, uint64_t index = 0, uint32_t purpose = 0);

  /// 32 random bits.
  uint32_t bits();
  /// Uniform in [0, 1), 24 bits for the float grid.
  double uniform();
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  /// Uniform in {0, ..., n - 1}; n >= 1. Exactly uniform (rejection).
  int64_t below(int64_t n);
  /// Standard normal (Box-Muller, one of the pair).
  double normal();

  Tensor uniform(const Shape& shape, double low, double high, DType dtype = DType::kFloat32);
  Tensor normal(const Shape& shape, DType dtype = DType::kFloat32);

 private:
  std::array<uint32_t, 2> key_;
  std::array<uint32_t, 4> counter_;
  std::array<uint32_t, 4> block_{};
  int used_ = 4;
};

/// One Philox4x32-10 block, for the published test vectors.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

}  // namespace ydistill
