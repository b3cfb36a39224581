// SPDX-License-Identifier: MIT
// Loops that reach a machine's limits: arithmetic in registers, sequential reading.
#pragma once

#include <cstdint>

#include <ydistill/tensor/cpu_level.h>

namespace ydistill {

struct MachineKernels {
  /// Runs `rounds` multiply-adds on every lane of enough independent registers to hide the latency.
  /// x, y: any numbers that keep acc = acc x + y normal. Writes one result to `sink`.
  /// Returns the number of floating-point operations; a multiply-add counts as two.
  double (*multiply_add_f32)(int64_t rounds, float x, float y, float* sink);
  /// The same with dot products of pairs of bfloat16, summed in float32. Returns 0 if the processor
  /// does not have them (avx512_bf16).
  double (*dot_bf16)(int64_t rounds, float x, float* sink);
  /// The same with tiles of bfloat16; returns 0 unless cpu_amx() is Amx::kTiles.
  double (*multiply_tiles)(int64_t rounds);
  /// The sum of n floats.
  float (*sum)(const float* values, int64_t n);
};
YD_DECLARE_CPU_KERNELS(MachineKernels, machine_kernels);

}  // namespace ydistill
