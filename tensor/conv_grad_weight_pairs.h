// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the vocabulary of conv_grad_weight_cpu.cpp, and its product of pairs
// of bfloat16.
//
// Panels: of x [block][picture][row][tap of the row][pair][kInBlock], of grad_y
//         [block][pair][kOutPitchOfPairs]. A pair is 4 bytes, its first output the lower ones.
#pragma once

#include <ydistill/tensor/conv_grad_weight.h>
#include <ydistill/tensor/register_tile.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

using Task = ConvGradWeightTask;

/// Two vectors of inputs by 6 outputs: 12 sums, enough to keep both multipliers busy, and 16
/// registers hold them with what they need. Pairs are for CPUs with 32 registers: 12 outputs.
constexpr int64_t kInBlock = kPanel;

/// A rectangle of outputs in some pictures: of each, the first of its pictures, rows and columns.
struct Chunk {
  int64_t picture, row, col, pictures, rows, cols;
  int64_t outputs() const { return pictures * rows * cols; }
};

/// Distances in numbers from picture to picture, row to row and pixel to pixel.
struct Steps {
  int64_t picture, row, pixel;
};

/// The first output channel of a block: they share the channels out evenly.
YD_HOST_DEVICE int64_t first_channel(const Task& t, int64_t block) {
  return block * t.least_outs + least(block, t.blocks_with_more);
}

using Multiply = void (*)(const Chunk& chunk, const float* x, const Steps& steps, const float* g,
                          int64_t g_step, float* out, int64_t out_step, int64_t count, bool adds);

/// out[o out_step + k] += or = sums of output o, k < count.
template <int kOuts>
YD_HOST_DEVICE void put_sums(const Vector (&sums)[kOuts][2], float* out, int64_t out_step,
                             int64_t count, bool adds) {
#pragma GCC unroll 12
  for (int o = 0; o < kOuts; ++o) {
    float* const to = out + o * out_step;
    if (count == kInBlock) {
      store(adds ? load(to) + sums[o][0] : sums[o][0], to);
      store(adds ? load(to + kLanes) + sums[o][1] : sums[o][1], to + kLanes);
    } else {
      float numbers[kInBlock];
      store(sums[o][0], numbers);
      store(sums[o][1], numbers + kLanes);
      for (int64_t k = 0; k < count; ++k) to[k] = adds ? to[k] + numbers[k] : numbers[k];
    }
  }
}

/// kLanes pairs; null: zeros.
YD_HOST_DEVICE Vector pairs_of(const BFloat16* first, const BFloat16* second) {
  const Bits low = first != nullptr ? load_bits(first) : Bits{};
  const Bits high = second != nullptr ? load_bits(second) : Bits{};
  return Vector(low | high << 16);
}

/// The pixels that a chunk's pairs of outputs see, tap by tap, with zeros where they lie outside
/// the picture.
YD_HOST_DEVICE void pack_pixel_pairs(const Task& t, const BFloat16* x, const Chunk& c,
                                     int64_t first_block, int64_t blocks, float* to) {
  const int64_t rows = (c.rows - 1) * t.stride + t.kernel;
  const int64_t channel = first_block * kInBlock;
  // A block may be filled by half.
  const int64_t vectors = least(blocks * kInBlock, t.in_channels - channel) / kLanes;
  for (int64_t i = 0; i < c.pictures * rows; ++i) {
    const int64_t picture = c.picture + i / rows, row = c.row * t.stride - t.padding + i % rows;
    const bool is_inside = row >= 0 && row < t.in_height;
    const BFloat16* const from =
        x + (picture * t.in_height + (is_inside ? row : 0)) * t.in_width * t.in_channels + channel;
    for (int64_t tap = 0; tap < t.taps; ++tap) {
      for (int64_t j = 0; j < c.cols; j += 2, to += kInBlock) {
        const int64_t first = (c.col + j) * t.stride - t.padding + tap, second = first + t.stride;
        const auto pixel = [&](int64_t column, bool is_there) {
          return is_there && is_inside && column >= 0 && column < t.in_width
                     ? from + column * t.in_channels
                     : nullptr;
        };
        const BFloat16* const a = pixel(first, true);
        const BFloat16* const b = pixel(second, j + 1 < c.cols);
        if (a != nullptr && b != nullptr && vectors == 2 * blocks) {
          for (int64_t k = 0; k < blocks; ++k) {
            const int64_t at = k * kInBlock;
            store(pairs_of(a + at, b + at), to + k * t.in_panel);
            store(pairs_of(a + at + kLanes, b + at + kLanes), to + k * t.in_panel + kLanes);
          }
          continue;
        }
        for (int64_t v = 0; v < 2 * blocks; ++v) {
          const bool is_there = v < vectors;
          store(pairs_of(is_there && a != nullptr ? a + v * kLanes : nullptr,
                         is_there && b != nullptr ? b + v * kLanes : nullptr),
                to + v / 2 * t.in_panel + v % 2 * kLanes);
        }
      }
    }
  }
}

/// Takes what lies behind a block's channels along, but nothing from behind the last picture.
YD_HOST_DEVICE void pack_grad_pairs(const Task& t, const BFloat16* grad_y, const Chunk& c,
                                    int64_t first_block, int64_t blocks, float* to) {
  constexpr int64_t kPitch = Task::kOutPitchOfPairs;
  const int64_t size = t.batch * t.out_height * t.out_width * t.out_channels;
  for (int64_t i = 0; i < c.pictures * c.rows; ++i) {
    const int64_t picture = c.picture + i / c.rows, row = c.row + i % c.rows;
    for (int64_t j = 0; j < c.cols; j += 2, to += kPitch) {
      const int64_t pixel =
          ((picture * t.out_height + row) * t.out_width + c.col + j) * t.out_channels;
      const bool is_pair = j + 1 < c.cols;
      for (int64_t b = 0; b < blocks; ++b) {
        const int64_t at = pixel + first_channel(t, first_block + b);
        float* const put = to + b * t.out_panel;
        if (at + t.out_channels + kPitch <= size) {
          for (int64_t k = 0; k < kPitch; k += kLanes) {
            const BFloat16* const first = grad_y + at + k;
            store(pairs_of(first, is_pair ? first + t.out_channels : nullptr), put + k);
          }
          continue;
        }
        BFloat16 ends[2][kPitch] = {};
        for (int64_t k = 0; k < kPitch && at + k < size; ++k) {
          ends[0][k] = grad_y[at + k];
          const int64_t next = at + t.out_channels + k;
          if (is_pair && next < size) ends[1][k] = grad_y[next];
        }
        for (int64_t k = 0; k < kPitch; k += kLanes) {
          store(pairs_of(ends[0] + k, ends[1] + k), put + k);
        }
      }
    }
  }
}

/// Number k of a panel of grad_y, its two outputs added.
YD_HOST_DEVICE float sum_of_pair(float pair) {
  const uint32_t bits = __builtin_bit_cast(uint32_t, pair);
  return __builtin_bit_cast(float, bits << 16) + __builtin_bit_cast(float, bits & 0xffff0000u);
}

#if defined(__AVX512F__)
constexpr bool kKnowsPairs = true;

/// As multiply() of conv_grad_weight_cpu.cpp; needs AVX512_BF16. chunk.cols are pairs.
template <int kOuts>
[[gnu::noinline, gnu::target("avx512bf16")]] void multiply_pairs(const Chunk& chunk, const float* x,
                                                                 const Steps& steps, const float* g,
                                                                 int64_t g_step, float* out,
                                                                 int64_t out_step, int64_t count,
                                                                 bool adds) {
  for (int o = 0; o < kOuts; ++o) {
    __builtin_prefetch(out + o * out_step, 1);
    __builtin_prefetch(out + o * out_step + kInBlock - 1, 1);
  }
  Vector sums[kOuts][2] = {};
  for (int64_t n = 0; n < chunk.pictures; ++n) {
    const float* x_row = x + n * steps.picture;
    for (int64_t i = 0; i < chunk.rows; ++i) {
      const float* pixel = x_row;
      for (int64_t j = chunk.cols; j > 0; --j) {
        const __m512bh a = (__m512bh)load(pixel), b = (__m512bh)load(pixel + kLanes);
#pragma GCC unroll 12
        for (int o = 0; o < kOuts; ++o) {
          const __m512bh both = (__m512bh)_mm512_set1_ps(g[o]);
          sums[o][0] = (Vector)_mm512_dpbf16_ps((__m512)sums[o][0], a, both);
          sums[o][1] = (Vector)_mm512_dpbf16_ps((__m512)sums[o][1], b, both);
        }
        pixel += steps.pixel;
        g += g_step;
      }
      x_row += steps.row;
    }
  }
  put_sums(sums, out, out_step, count, adds);
}

constexpr Multiply kMultiplyPairs[Task::kOutBlockOfPairs] = {
    multiply_pairs<1>, multiply_pairs<2>,  multiply_pairs<3>,  multiply_pairs<4>,
    multiply_pairs<5>, multiply_pairs<6>,  multiply_pairs<7>,  multiply_pairs<8>,
    multiply_pairs<9>, multiply_pairs<10>, multiply_pairs<11>, multiply_pairs<12>};
#else
constexpr bool kKnowsPairs = false;
constexpr Multiply kMultiplyPairs[Task::kOutBlockOfPairs] = {};
#endif

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
