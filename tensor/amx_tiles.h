// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): AMX, the tile registers that multiply matrices of bfloat16 (Intel 64
// and IA-32 Architectures Software Developer's Manual, "Programming with Intel AMX"). A tile is 16
// rows of 64 bytes: of a left factor 16 rows of kTileDepth bfloat16, of a right one 16 pairs of
// rows, [pair][16 columns][2], of sums 16 x 16 float32.
//
// Two types do the same: AmxTiles, for a CPU that has them (cpu_amx()), and PlainTiles, for tests
// on any other. The asm names every tile by its number and clobbers memory, since the
// compiler does not know what a tile load reads.
#pragma once

#include <cstdint>

#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/host_device.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr int64_t kTileRows = 16, kTileColumns = 16, kTileDepth = 32;
/// Numbers of bfloat16, and of float32, that a tile holds.
inline constexpr int64_t kTileHalves = kTileRows * kTileDepth,
                         kTileFloats = kTileRows * kTileColumns;

#if defined(__AVX512F__) && defined(__x86_64__)
#define YD_HAVE_AMX_TILES

class AmxTiles {
 public:
  YD_HOST_DEVICE AmxTiles() {
    struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
      uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
    } const config;
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  /// Leaves nothing for the system to keep when other threads run.
  YD_HOST_DEVICE ~AmxTiles() { __asm__ volatile("tilerelease"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  /// Rows lie `step` bytes apart; with 0 all are the same.
  template <int kTile>
  YD_HOST_DEVICE void load(const void* from, int64_t step) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step), "i"(kTile) : "memory");
  }
  template <int kTile>
  YD_HOST_DEVICE void store(void* to, int64_t step) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(step), "i"(kTile) : "memory");
  }
  /// sums += left right
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft),
                     "i"(kRight));
  }
};
#endif

class PlainTiles {
 public:
  template <int kTile>
  YD_HOST_DEVICE void load(const void* from, int64_t step) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(tiles_[kTile][row], static_cast<const std::byte*>(from) + row * step,
                       kBytes);
    }
  }
  template <int kTile>
  YD_HOST_DEVICE void store(void* to, int64_t step) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(static_cast<std::byte*>(to) + row * step, tiles_[kTile][row], kBytes);
    }
  }
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply() {
    for (int64_t i = 0; i < kTileRows; ++i) {
      float sums[kTileColumns];
      __builtin_memcpy(sums, tiles_[kSums][i], kBytes);
      for (int64_t k = 0; k < kTileDepth; ++k) {
        const float left = half(tiles_[kLeft][i], k);
        const std::byte* const right = tiles_[kRight][k / 2];
        for (int64_t j = 0; j < kTileColumns; ++j) sums[j] += left * half(right, 2 * j + k % 2);
      }
      __builtin_memcpy(tiles_[kSums][i], sums, kBytes);
    }
  }

 private:
  static constexpr int64_t kBytes = 64;
  static YD_HOST_DEVICE float half(const std::byte* row, int64_t i) {
    BFloat16 value;
    __builtin_memcpy(&value, row + i * int64_t(sizeof(value)), sizeof(value));
    return float(value);
  }
  std::byte tiles_[8][kTileRows][kBytes] = {};
};

}  // namespace ydistill::YD_CPU_LEVEL
