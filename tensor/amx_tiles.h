// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): AMX, the tile registers that multiply matrices of bfloat16 and of
// bytes (Intel 64 and IA-32 Architectures Software Developer's Manual, "Programming with Intel
// AMX"). A tile is 16 rows of 64 bytes. For a left factor a row is 32 bfloat16 or 64 unsigned
// bytes; for a right one a tile is [pair of rows][16 columns][2] bfloat16 or [four rows][16
// columns][4] signed bytes; for sums 16 x 16 float32 or int32. Tiles 4 and 5 are left factors and 6
// and 7 right ones: for a smaller depth, these have fewer bytes per row and fewer rows,
// respectively.
//
// Two types have the same interface: AmxTiles, for a CPU with AMX (cpu_amx()), and PlainTiles, for
// tests on any other. The asm names every tile by its number and clobbers memory, since the
// compiler does not know what a tile load reads.
#pragma once

#include <cstdint>

#include <ydistill/tensor/dtype.h>
#include <ydistill/tensor/host_device.h>

namespace ydistill::YD_CPU_LEVEL {

inline constexpr int64_t kTileRows = 16, kTileColumns = 16, kTileRowBytes = 64;
/// Of bfloat16.
inline constexpr int64_t kTileDepth = kTileRowBytes / 2;
/// Numbers of bfloat16, and of float32, that a tile holds.
inline constexpr int64_t kTileHalves = kTileRows * kTileDepth,
                         kTileFloats = kTileRows * kTileColumns;

#if defined(__AVX512F__) && defined(__x86_64__)
#define YD_HAVE_AMX_TILES

class AmxTiles {
 public:
  /// depth: bytes of a left factor's row that are summed up, a multiple of 4 up to 64.
  YD_HOST_DEVICE explicit AmxTiles(int64_t depth = kTileRowBytes) {
    const uint16_t left = uint16_t(depth);
    const uint8_t right = uint8_t(depth / 4);
    const struct alignas(64) {
      uint8_t palette = 1, start_row = 0, reserved[14] = {};
      uint16_t row_bytes[16];
      uint8_t rows[16];
    } config{.row_bytes = {64, 64, 64, 64, left, left, 64, 64},
             .rows = {16, 16, 16, 16, 16, 16, right, right}};
    __asm__ volatile("ldtilecfg %0" ::"m"(config));
  }
  /// Releases the tiles, so that context switches need not save them.
  YD_HOST_DEVICE ~AmxTiles() { __asm__ volatile("tilerelease"); }
  AmxTiles(const AmxTiles&) = delete;
  AmxTiles& operator=(const AmxTiles&) = delete;

  /// Rows are `step` bytes apart; with 0 all are the same row.
  template <int kTile>
  YD_HOST_DEVICE void load(const void* from, int64_t step) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" ::"r"(from), "r"(step), "i"(kTile) : "memory");
  }
  template <int kTile>
  YD_HOST_DEVICE void store(void* to, int64_t step) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" ::"r"(to), "r"(step), "i"(kTile) : "memory");
  }
  /// sums += left right, of bfloat16
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply() {
    __asm__ volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft),
                     "i"(kRight));
  }
  /// The same of bytes, unsigned on the left and signed on the right.
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply_bytes() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" ::"i"(kSums), "i"(kLeft), "i"(kRight));
  }
};
#endif

class PlainTiles {
 public:
  YD_HOST_DEVICE explicit PlainTiles(int64_t depth = kTileRowBytes) : depth_(depth) {}
  template <int kTile>
  YD_HOST_DEVICE void load(const void* from, int64_t step) {
    const bool is_left = kTile == 4 || kTile == 5;
    const int64_t rows = kTile > 5 ? depth_ / 4 : kTileRows;
    for (int64_t row = 0; row < rows; ++row) {
      __builtin_memcpy(tiles_[kTile][row], static_cast<const std::byte*>(from) + row * step,
                       size_t(is_left ? depth_ : kTileRowBytes));
    }
  }
  template <int kTile>
  YD_HOST_DEVICE void store(void* to, int64_t step) {
    for (int64_t row = 0; row < kTileRows; ++row) {
      __builtin_memcpy(static_cast<std::byte*>(to) + row * step, tiles_[kTile][row], kTileRowBytes);
    }
  }
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply() {
    for (int64_t i = 0; i < kTileRows; ++i) {
      float sums[kTileColumns];
      __builtin_memcpy(sums, tiles_[kSums][i], kTileRowBytes);
      for (int64_t k = 0; k < depth_ / 2; ++k) {
        const float left = half(tiles_[kLeft][i], k);
        const std::byte* const right = tiles_[kRight][k / 2];
        for (int64_t j = 0; j < kTileColumns; ++j) sums[j] += left * half(right, 2 * j + k % 2);
      }
      __builtin_memcpy(tiles_[kSums][i], sums, kTileRowBytes);
    }
  }
  template <int kSums, int kLeft, int kRight>
  YD_HOST_DEVICE void multiply_bytes() {
    for (int64_t i = 0; i < kTileRows; ++i) {
      int32_t sums[kTileColumns];
      __builtin_memcpy(sums, tiles_[kSums][i], kTileRowBytes);
      for (int64_t k = 0; k < depth_; ++k) {
        const int32_t left = int32_t(tiles_[kLeft][i][k]);
        const std::byte* const right = tiles_[kRight][k / 4];
        for (int64_t j = 0; j < kTileColumns; ++j) sums[j] += left * int8_t(right[4 * j + k % 4]);
      }
      __builtin_memcpy(tiles_[kSums][i], sums, kTileRowBytes);
    }
  }

 private:
  static YD_HOST_DEVICE float half(const std::byte* row, int64_t i) {
    BFloat16 value;
    __builtin_memcpy(&value, row + i * int64_t(sizeof(value)), sizeof(value));
    return float(value);
  }
  int64_t depth_;
  std::byte tiles_[8][kTileRows][kTileRowBytes] = {};
};

}  // namespace ydistill::YD_CPU_LEVEL
