// SPDX-License-Identifier: MIT
// Packing and the product; see conv_grad_weight.h.
//
// Panels: of x [block][picture][row][column][kInBlock], folded [output][pixel_pitch];
//         of grad_y [block][output][kOutPitch], of which the block's channels are used.
// conv_grad_weight_pairs.h has the panels of pairs.
#include <ydistill/tensor/conv_grad_weight.h>
#include <ydistill/tensor/conv_grad_weight_pairs.h>

#include <type_traits>

namespace ydistill::YD_CPU_LEVEL {
namespace {

YD_HOST_DEVICE Chunk clipped(const Task& t, Chunk c, int64_t end_picture) {
  c.pictures = least(t.chunk_pictures, end_picture - c.picture);
  c.rows = least(t.chunk_rows, t.out_height - c.row);
  c.cols = least(t.chunk_cols, t.out_width - c.col);
  return c;
}

/// The chunk after c; after the last one, a chunk without pictures.
YD_HOST_DEVICE Chunk next_of(const Task& t, Chunk c, int64_t end_picture) {
  c.col += t.chunk_cols;
  if (c.col >= t.out_width) {
    c.col = 0;
    c.row += t.chunk_rows;
  }
  if (c.row >= t.out_height) {
    c.row = 0;
    c.picture += t.chunk_pictures;
  }
  return clipped(t, c, end_picture);
}

/// Memory that will be read soon, as stretches: in_row per row, rows per picture. It is prefetched
/// a few cache lines at a time, so that no load has to wait for the memory.
struct Stretches {
  static constexpr int64_t kLine = 64;

  uintptr_t first;
  int64_t pictures, rows, in_row;
  Steps steps;  // in bytes; `pixel`: from stretch to stretch
  int64_t bytes;
  int64_t begun = 0;
  uintptr_t at = 0, end = 0;

  YD_HOST_DEVICE int64_t count() const { return pictures * rows * in_row; }
  YD_HOST_DEVICE int64_t lines() const { return count() * (bytes / kLine + 1); }
  YD_HOST_DEVICE void fetch(int64_t num_lines) {
    for (; num_lines > 0; --num_lines, at += kLine) {
      if (at >= end) {
        if (begun >= count()) return;
        const uintptr_t from =
            first + uintptr_t(begun / in_row / rows * steps.picture +
                              begun / in_row % rows * steps.row + begun % in_row * steps.pixel);
        at = from - from % kLine;
        end = from + uintptr_t(bytes);
        ++begun;
      }
      __builtin_prefetch(reinterpret_cast<const void*>(at), 0, 2);
    }
  }
};

/// out[o out_step + k] += or = the sum over the outputs of a chunk of g[o] x[k], k < count. x: the
/// pixel of the first output; steps: the distances to the pixels of the other outputs.
template <int kOuts>
__attribute__((noinline)) void multiply(const Chunk& chunk, const float* x, const Steps& steps,
                                        const float* g, int64_t g_step, float* out,
                                        int64_t out_step, int64_t count, bool adds) {
  for (int o = 0; o < kOuts; ++o) {
    __builtin_prefetch(out + o * out_step, 1);
    __builtin_prefetch(out + o * out_step + kInBlock - 1, 1);
  }
  Vector sums[kOuts][2] = {};
  const int64_t x_step = steps.pixel;
  for (int64_t n = 0; n < chunk.pictures; ++n) {
    const float* x_row = x + n * steps.picture;
    for (int64_t i = 0; i < chunk.rows; ++i) {
      const float* pixel = x_row;
      for (int64_t j = chunk.cols; j > 0; --j) {
        const Vector a = load(pixel), b = load(pixel + kLanes);
#pragma GCC unroll 6
        for (int o = 0; o < kOuts; ++o) {
          sums[o][0] += g[o] * a;
          sums[o][1] += g[o] * b;
        }
        pixel += x_step;
        g += g_step;
      }
      x_row += steps.row;
    }
  }
  put_sums(sums, out, out_step, count, adds);
}

constexpr Multiply kMultiply[Task::kOutBlock] = {multiply<1>, multiply<2>, multiply<3>,
                                                 multiply<4>, multiply<5>, multiply<6>};

/// Packs the pixels that a chunk reads, with zeros outside the picture.
template <class T>
void pack_pixels(const Task& t, const T* x, const Chunk& c, int64_t first_block, int64_t blocks,
                 float* to) {
  const int64_t rows = (c.rows - 1) * t.stride + t.kernel;
  const int64_t cols = (c.cols - 1) * t.stride + t.kernel;
  const int64_t top = c.row * t.stride - t.padding, left = c.col * t.stride - t.padding;
  const int64_t first_inside = least(left < 0 ? -left : 0, cols);
  const int64_t end_inside = least(cols, t.in_width - left);
  const int64_t channel = first_block * kInBlock, count = t.channels - channel;
  const int64_t whole_blocks = least(blocks, count / kInBlock);
  for (int64_t i = 0; i < c.pictures * rows; ++i, to += cols * kInBlock) {
    const int64_t picture = c.picture + i / rows, row = top + i % rows;
    const bool is_inside = row >= 0 && row < t.in_height && first_inside < end_inside;
    const int64_t first = is_inside ? first_inside : cols, end = is_inside ? end_inside : cols;
    for (int64_t b = 0; b < blocks && end - first < cols; ++b) {
      fill_zero(to + b * t.in_panel, first * kInBlock);
      fill_zero(to + b * t.in_panel + end * kInBlock, (cols - end) * kInBlock);
    }
    const T* from =
        x + ((picture * t.in_height + row) * t.in_width + left + first) * t.in_channels + channel;
    for (int64_t j = first; j < end; ++j, from += t.in_channels) {
      float* put = to + j * kInBlock;
      for (int64_t b = 0; b < whole_blocks; ++b, put += t.in_panel) {
        store(load(from + b * kInBlock), put);
        store(load(from + b * kInBlock + kLanes), put + kLanes);
      }
      if (whole_blocks < blocks) {
        const int64_t done = whole_blocks * kInBlock;
        for (int64_t k = 0; k < kInBlock; ++k) {
          put[k] = done + k < count ? float(from[done + k]) : 0;
        }
      }
    }
  }
}

/// Packs the window whose first pixel is (top, left), row after row.
template <class T>
YD_HOST_DEVICE void pack_window(const Task& t, const T* picture, int64_t top, int64_t left,
                                float* to) {
  const int64_t run = t.kernel * t.in_channels;
  const int64_t first = left < 0 ? -left : 0, end = least(t.kernel, t.in_width - left);
  for (int64_t k = t.channels / kLanes * kLanes; k < t.pixel_pitch; k += kLanes) {
    store(Vector{}, to + k);
  }
  const T* from = picture + (top * t.in_width + left) * t.in_channels;
  for (int64_t row = top; row < top + t.kernel; ++row) {
    if (row < 0 || row >= t.in_height) {
      fill_zero(to, run);
    } else if (first == 0 && end == t.kernel) {
      copy_run(from, run, to);
    } else {
      for (int64_t k = 0; k < run; ++k) {
        const bool is_inside = k >= first * t.in_channels && k < end * t.in_channels;
        to[k] = is_inside ? float(from[k]) : 0;
      }
    }
    from += t.in_width * t.in_channels;
    to += run;
  }
}

template <class T>
void pack_windows(const Task& t, const T* x, const Chunk& c, float* to) {
  for (int64_t n = 0; n < c.pictures; ++n) {
    const T* const picture = x + (c.picture + n) * t.in_height * t.in_width * t.in_channels;
    for (int64_t i = c.row; i < c.row + c.rows; ++i) {
      for (int64_t j = c.col; j < c.col + c.cols; ++j, to += t.pixel_pitch) {
        pack_window(t, picture, i * t.stride - t.padding, j * t.stride - t.padding, to);
      }
    }
  }
}

/// Copies kOutPitch numbers per block, so also some after its channels, but reads nothing after the
/// last picture.
template <class T>
void pack_grads(const Task& t, const T* grad_y, const Chunk& c, int64_t first_block, int64_t blocks,
                float* to) {
  const int64_t channel = first_channel(t, first_block);
  const T* const end = grad_y + t.batch * t.out_height * t.out_width * t.out_channels;
  const T* const last_safe = end - t.out_channels - Task::kOutPitch;
  for (int64_t i = 0; i < c.pictures * c.rows; ++i) {
    const int64_t picture = c.picture + i / c.rows, row = c.row + i % c.rows;
    const T* from =
        grad_y + ((picture * t.out_height + row) * t.out_width + c.col) * t.out_channels;
    for (int64_t j = 0; j < c.cols; ++j, from += t.out_channels, to += Task::kOutPitch) {
      float* put = to;
      if (from <= last_safe) {
        const T* block = from + channel;
        for (int64_t b = first_block; b < first_block + blocks; ++b, put += t.out_panel) {
          if constexpr (kLanes <= Task::kOutPitch) {
            for (int64_t k = 0; k < Task::kOutPitch; k += kLanes) store(load(block + k), put + k);
          } else {
            for (int64_t k = 0; k < Task::kOutPitch; ++k) put[k] = float(block[k]);
          }
          block += t.least_outs + (b < t.blocks_with_more ? 1 : 0);
        }
      } else {
        for (int64_t b = first_block; b < first_block + blocks; ++b, put += t.out_panel) {
          const T* const block = from + first_channel(t, b);
          for (int64_t k = 0; k < Task::kOutPitch; ++k) {
            put[k] = block + k < end ? float(block[k]) : 0;
          }
        }
      }
    }
  }
}

/// bias[o] += or = the sums of a block's gradients.
template <bool kPairs>
void sum_grads(const float* grads, int64_t pitch, int64_t outputs, int64_t count, bool adds,
               float* bias) {
  float sums[2][kPairs ? Task::kOutBlockOfPairs : Task::kOutBlock] = {};
  for (int64_t i = 0; i < outputs; ++i, grads += pitch) {
    for (int64_t k = 0; k < count; ++k) {
      sums[i % 2][k] += kPairs ? sum_of_pair(grads[k]) : grads[k];
    }
  }
  for (int64_t k = 0; k < count; ++k) {
    const float sum = sums[0][k] + sums[1][k];
    bias[k] = adds ? bias[k] + sum : sum;
  }
}

/// One tile: some blocks of input channels by some blocks of output channels.
struct Tile {
  int64_t first_in, ins, first_out, outs;
};

template <class T>
struct Operands {
  const T *x, *grad_y;
  float *scratch, *weight, *bias;
};

/// The memory that packing a chunk will read.
template <class T>
YD_HOST_DEVICE Stretches pixels_of(const Task& t, const Tile& tile, const T* x, const Chunk& c) {
  const int64_t rows = (c.rows - 1) * t.stride + t.kernel;
  const int64_t cols = (c.cols - 1) * t.stride + t.kernel;
  const int64_t pixel = t.in_channels * int64_t(sizeof(T)), row = t.in_width * pixel;
  const bool is_whole = t.is_folded || tile.ins == t.in_blocks;
  const int64_t block = kInBlock * int64_t(sizeof(T));
  const uintptr_t first =
      reinterpret_cast<uintptr_t>(x) +
      uintptr_t(c.picture * t.in_height * row + (c.row * t.stride - t.padding) * row +
                (c.col * t.stride - t.padding) * pixel + tile.first_in * block);
  return {first,
          c.pictures,
          rows,
          is_whole ? 1 : cols,
          {t.in_height * row, row, pixel},
          is_whole ? cols * pixel : tile.ins * block};
}
template <class T>
YD_HOST_DEVICE Stretches grads_of(const Task& t, const Tile& tile, const T* grad_y,
                                  const Chunk& c) {
  const int64_t pixel = t.out_channels * int64_t(sizeof(T)), row = t.out_width * pixel;
  const bool is_whole = tile.outs == t.out_blocks;
  const int64_t channel = first_channel(t, tile.first_out);
  const int64_t channels = first_channel(t, tile.first_out + tile.outs) - channel;
  const uintptr_t first = reinterpret_cast<uintptr_t>(grad_y) +
                          uintptr_t(c.picture * t.out_height * row + c.row * row + c.col * pixel) +
                          uintptr_t(channel) * sizeof(T);
  return {first,
          c.pictures,
          c.rows,
          is_whole ? 1 : c.cols,
          {t.out_height * row, row, pixel},
          is_whole ? c.cols * pixel : channels * int64_t(sizeof(T))};
}

template <class T, bool kPairs>
void run_chunk(const Task& t, const Tile& tile, const Operands<T>& data, const Chunk& c,
               const Chunk& next, bool adds) {
  const float *in_panels = data.scratch, *out_panels = data.scratch + t.out_panels_at;
  if constexpr (kPairs) {
    pack_pixel_pairs(t, data.x, c, tile.first_in, tile.ins, data.scratch);
    pack_grad_pairs(t, data.grad_y, c, tile.first_out, tile.outs, data.scratch + t.out_panels_at);
  } else if (!t.is_direct) {
    if (t.is_folded) {
      pack_windows(t, data.x, c, data.scratch);
    } else {
      pack_pixels(t, data.x, c, tile.first_in, tile.ins, data.scratch);
    }
    pack_grads(t, data.grad_y, c, tile.first_out, tile.outs, data.scratch + t.out_panels_at);
  } else if constexpr (std::is_same_v<T, float>) {
    const int64_t pixel = c.picture * t.in_width + c.col;
    in_panels = data.x + pixel * t.in_channels + tile.first_in * kInBlock;
    out_panels = data.grad_y + pixel * t.out_channels;
  }

  const int64_t step = t.is_folded ? 1 : t.stride, pairs = t.steps_of(c.cols);
  const int64_t rows = (c.rows - 1) * step + t.taps;
  const int64_t cols = kPairs ? t.taps * pairs : (c.cols - 1) * step + t.taps;  // of the panel
  const int64_t pitch = t.pixel_pitch;
  const Steps in_panel{rows * cols * pitch, step * cols * pitch, (kPairs ? 1 : step) * pitch};
  Chunk numbers = c;
  numbers.cols = pairs;
  Stretches next_pixels = pixels_of(t, tile, data.x, next);
  Stretches next_grads = grads_of(t, tile, data.grad_y, next);
  const int64_t products = tile.ins * tile.outs * t.taps * t.taps;
  const int64_t pixel_lines = next_pixels.lines() / products + 1;
  const int64_t grad_lines = next_grads.lines() / products + 1;

  const int64_t tap_step = t.channels, out_step = t.taps * t.taps * t.channels;
  for (int64_t in = 0; in < tile.ins; ++in) {
    const int64_t channel = (tile.first_in + in) * kInBlock;
    const int64_t count = least(kInBlock, t.channels - channel);
    for (int64_t out = 0; out < tile.outs; ++out) {
      const int64_t first = first_channel(t, tile.first_out + out);
      const int64_t outs = first_channel(t, tile.first_out + out + 1) - first;
      const float* const grads = out_panels + (t.is_direct ? first : out * t.out_panel);
      if (data.bias != nullptr && tile.first_in == 0 && in == 0) {
        sum_grads<kPairs>(grads, t.out_pitch, numbers.outputs(), outs, adds, data.bias + first);
      }
      for (int64_t tap = 0; tap < t.taps * t.taps; ++tap) {
        const int64_t p = tap / t.taps, q = tap % t.taps;
        const float* const pixels =
            in_panels + in * t.in_panel + (p * cols + q * (kPairs ? pairs : 1)) * pitch;
        next_pixels.fetch(pixel_lines);
        next_grads.fetch(grad_lines);
        (kPairs ? kMultiplyPairs : kMultiply)[outs - 1](
            numbers, pixels, in_panel, grads, t.out_pitch,
            data.weight + first * out_step + tap * tap_step + channel, out_step, count, adds);
      }
    }
  }
}

template <class T, bool kPairs = false>
void run_units_of(const Task& t, const void* x, const void* grad_y, int64_t first, int64_t last,
                  float* scratch, float* grad_weight, float* grad_bias, int64_t group_step) {
  const int64_t in_tiles = (t.in_blocks + t.in_tile - 1) / t.in_tile;
  const int64_t out_tiles = (t.out_blocks + t.out_tile - 1) / t.out_tile;
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t group = unit / (in_tiles * out_tiles);
    const int64_t in = unit / out_tiles % in_tiles * t.in_tile, out = unit % out_tiles * t.out_tile;
    const Tile tile{in, least(t.in_tile, t.in_blocks - in), out,
                    least(t.out_tile, t.out_blocks - out)};
    const Operands<T> data{static_cast<const T*>(x), static_cast<const T*>(grad_y), scratch,
                           grad_weight + group * group_step,
                           grad_bias == nullptr ? nullptr : grad_bias + group * group_step};
    const int64_t begin = group * t.pictures_per_group;
    const int64_t end = least(t.batch, begin + t.pictures_per_group);
    bool adds = t.groups == 1;
    for (Chunk c = clipped(t, {begin, 0, 0, 0, 0, 0}, end); c.pictures > 0; adds = true) {
      const Chunk next = next_of(t, c, end);
      run_chunk<T, kPairs>(t, tile, data, c, next, adds);
      c = next;
    }
  }
}

void run_units(const Task& t, const void* x, const void* grad_y, int64_t first, int64_t last,
               float* scratch, float* grad_weight, float* grad_bias, int64_t group_step) {
  const auto run = t.has_pairs                   ? run_units_of<BFloat16, kKnowsPairs>
                   : t.dtype == DType::kBFloat16 ? run_units_of<BFloat16>
                                                 : run_units_of<float>;
  run(t, x, grad_y, first, last, scratch, grad_weight, grad_bias, group_step);
}

void add_groups(const float* from, int64_t groups, int64_t group_step, int64_t n, float* to) {
  for (int64_t group = 0; group < groups; ++group, from += group_step) {
#pragma GCC ivdep
    for (int64_t k = 0; k < n; ++k) to[k] += from[k];
  }
}

}  // namespace

const ConvGradWeightKernels& conv_grad_weight_kernels() {
  static const ConvGradWeightKernels kernels{kInBlock, kKnowsPairs, run_units, add_groups};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
