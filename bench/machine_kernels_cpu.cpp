// SPDX-License-Identifier: MIT
#include "machine_kernels.h"

#include <ydistill/tensor/amx_tiles.h>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace ydistill::YD_CPU_LEVEL {
namespace {

#if defined(__AVX512F__)
constexpr int kBytes = 64;
#elif defined(__AVX__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
using Lanes = float __attribute__((vector_size(kBytes)));
constexpr int kLanes = kBytes / int(sizeof(float));
// Two units with latency 4 need at least 8; of 16 registers two hold the operands.
constexpr int kRegisters = 12;

Lanes all_lanes(float value) {
  return Lanes{} + value;
}

float total(const Lanes (&registers)[kRegisters]) {
  Lanes sum{};
  for (const Lanes& r : registers) sum += r;
  float result = 0;
  for (int i = 0; i < kLanes; ++i) result += sum[i];
  return result;
}

double multiply_add_f32(int64_t rounds, float x, float y, float* sink) {
  const Lanes factor = all_lanes(x), summand = all_lanes(y);
  Lanes acc[kRegisters];
  for (int i = 0; i < kRegisters; ++i) acc[i] = all_lanes(float(i));
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kRegisters; ++i) acc[i] = acc[i] * factor + summand;
  }
  *sink = total(acc);
  return 2.0 * double(rounds) * kRegisters * kLanes;
}

#if defined(__AVX512F__)
__attribute__((target("avx512bf16"))) double dot_bf16(int64_t rounds, float x, float* sink) {
  if (!__builtin_cpu_supports("avx512bf16")) return 0;
  const __m512bh factor = _mm512_cvtne2ps_pbh(_mm512_set1_ps(x), _mm512_set1_ps(x));
  __m512 acc[kRegisters];
  for (int i = 0; i < kRegisters; ++i) acc[i] = _mm512_set1_ps(float(i));
  for (int64_t round = 0; round < rounds; ++round) {
    for (int i = 0; i < kRegisters; ++i) acc[i] = _mm512_dpbf16_ps(acc[i], factor, factor);
  }
  Lanes lanes[kRegisters];
  for (int i = 0; i < kRegisters; ++i) lanes[i] = Lanes(acc[i]);
  *sink = total(lanes);
  return 4.0 * double(rounds) * kRegisters * kLanes;
}
#else
double dot_bf16(int64_t, float, float*) {
  return 0;
}
#endif

double multiply_tiles([[maybe_unused]] int64_t rounds) {
#if defined(YD_HAVE_AMX_TILES)
  if (cpu_amx() != Amx::kTiles) return 0;
  constexpr double kProducts = 4, kOperations = 2.0 * kTileRows * kTileColumns * kTileDepth;
  constexpr int64_t kRowBytes = 64;
  alignas(64) static constexpr float kZeros[kTileFloats] = {};
  AmxTiles tiles;
  tiles.load<4>(kZeros, kRowBytes);
  tiles.load<5>(kZeros, kRowBytes);
  tiles.load<6>(kZeros, kRowBytes);
  tiles.load<7>(kZeros, kRowBytes);
  for (int64_t round = 0; round < rounds; ++round) {
    tiles.multiply<0, 4, 6>();
    tiles.multiply<1, 4, 7>();
    tiles.multiply<2, 5, 6>();
    tiles.multiply<3, 5, 7>();
  }
  return double(rounds) * kProducts * kOperations;
#else
  return 0;
#endif
}

float sum(const float* values, int64_t n) {
  Lanes acc[kRegisters] = {};
  int64_t i = 0;
  for (; i + kRegisters * kLanes <= n; i += kRegisters * kLanes) {
    for (int k = 0; k < kRegisters; ++k) {
      Lanes loaded;
      __builtin_memcpy(&loaded, values + i + k * kLanes, kBytes);
      acc[k] += loaded;
    }
  }
  float rest = 0;
  for (; i < n; ++i) rest += values[i];
  return total(acc) + rest;
}

}  // namespace

const MachineKernels& machine_kernels() {
  static constexpr MachineKernels kKernels{multiply_add_f32, dot_bf16, multiply_tiles, sum};
  return kKernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
