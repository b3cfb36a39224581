// SPDX-License-Identifier: MIT
// Loops that a machine cannot run faster: arithmetic in registers, reading in order.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct MachineKernels {
  /// `rounds` times one multiply-add on every lane of enough independent registers to hide its
  /// latency. x, y: any numbers that keep acc = acc x + y normal. Writes one result to `sink`.
  /// returns the floating-point operations done, a multiply-add counting two.
  double (*multiply_add_f32)(int64_t rounds, float x, float y, float* sink);
  /// The same with the dot products of pairs of bfloat16, summed in float32. 0 where the processor
  /// has none (avx512_bf16).
  double (*dot_bf16)(int64_t rounds, float x, float* sink);
  /// The same with tiles of bfloat16; 0 unless cpu_amx() is Amx::kTiles.
  double (*multiply_tiles)(int64_t rounds);
  /// The sum of n floats.
  float (*sum)(const float* values, int64_t n);
};
YD_DECLARE_CPU_KERNELS(MachineKernels, machine_kernels);

}  // namespace ydistill
