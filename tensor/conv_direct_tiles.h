// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the product of conv_direct_kernels.h. The left factor's numbers are
// 4 bytes each: floats, pairs of bfloat16, or four bytes. A Product says what is done with them:
//
//   Sum                                    the register of a sum: floats, or integers, which in
//                                          memory are floats of the same bits
//   add(rows, begin, end, panel, sums)     as add_products() of register_tile.h
//   finish(conv, sum, at, residual, y)     from the sums at a place of the channels to the output
//   finish_tile(conv, sums, channel, residual, y)
//                                          the same of whole vectors of kPixels outputs, from
//                                          `channel` on; finish_each() does
#pragma once

#include <ydistill/tensor/direct_chunks.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

// A tile is kPixels pixels times a panel of kPanel output channels.
constexpr int kPixels = kRows;
constexpr int64_t kMaxTaps = kMaxDirectKernel * kMaxDirectKernel;

/// The windows of a tile: runs of `length` numbers, one a row of the window, or one a tap where a
/// window reaches over the picture's side.
template <class Y>
struct Tile {
  const float* runs[kMaxTaps][kPixels];
  int64_t length;
  Y* out[kPixels];
  const Y* residual[kPixels];
  int64_t pixels;  // of the last one maybe fewer than kPixels; the rest repeats
};

/// And its sums where they are added up in several goes or fill no panel.
template <class Y>
struct Chunk {
  Tile<Y> tiles[kTiles];
  float sums[kTiles][kPixels * kPanel];
};

/// A finish_tile() by finish().
template <class Product, bool kSilu, bool kResidual, class Sum, int kColumns, class Y>
YD_HOST_DEVICE void finish_each(const DirectConv& conv, const Sum (&sums)[kPixels][kColumns],
                                int64_t channel, const Y* const (&residual)[kPixels],
                                Y* const (&y)[kPixels]) {
#pragma GCC unroll 12
  for (int i = 0; i < kPixels; ++i) {
    for (int v = 0; v < kColumns; ++v) {
      Product::template finish<kSilu, kResidual>(conv, sums[i][v], WholePack{channel + v * kLanes},
                                                 residual[i], y[i]);
    }
  }
}

/// The ending of products whose sums are the convolution: y = silu(sum) + residual.
struct PlainFinish {
  using Sum = Vector;
  template <bool kSilu, bool kResidual, class Y>
  static YD_HOST_DEVICE void finish(const DirectConv&, const Vector& sum, const auto& at,
                                    const Y* residual, Y* y) {
    YD_CPU_LEVEL::finish<kSilu, kResidual>(sum, at, residual, y);
  }
  template <bool kSilu, bool kResidual>
  static YD_HOST_DEVICE void finish_tile(const DirectConv& conv, const auto& sums, int64_t channel,
                                         const auto& residual, const auto& y) {
    finish_each<PlainFinish, kSilu, kResidual>(conv, sums, channel, residual, y);
  }
};

/// Where the sums of a tile and a panel begin and end: at the bias (kBegin) or where the last block
/// of products left them; in the output, with what follows (kEnd), or where the next block finds
/// them. Of the panel the first kColumns vectors.
template <class Product, int kColumns, bool kBegin, bool kEnd, bool kSilu, bool kResidual, class Y>
[[gnu::noinline]] void multiply(const DirectConv& conv, const Tile<Y>& tile, int64_t first,
                                int64_t last, const float* weights, const float* bias, float* sums,
                                int64_t channel) {
  using Sum = typename Product::Sum;
  Sum sum[kPixels][kColumns];
#pragma GCC unroll 12
  for (int i = 0; i < kPixels; ++i) {
    for (int v = 0; v < kColumns; ++v) {
      sum[i][v] = Sum(load((kBegin ? bias : sums + i * kPanel) + v * kLanes));
    }
  }
  const int64_t length = tile.length;
  int64_t run = first / length, at = first - run * length;
  const float* weight = weights + first * kPanel;
  while (first < last) {
    const int64_t end = least(length, at + (last - first));
    Product::add(tile.runs[run], at, end, weight, sum);
    weight += (end - at) * kPanel;
    first += end - at;
    at = 0;
    ++run;
  }
  // The pixels that only fill up a tile repeat its last one: writing them again does no harm.
  if constexpr (kEnd) {
    Product::template finish_tile<kSilu, kResidual>(conv, sum, channel, tile.residual, tile.out);
  } else {
#pragma GCC unroll 12
    for (int i = 0; i < kPixels; ++i) {
      for (int v = 0; v < kColumns; ++v) {
        store(Vector(sum[i][v]), sums + i * kPanel + v * kLanes);
      }
    }
  }
}

/// lay_out() where pixel k of the output, counted through all pictures, is made of pixel k of the
/// input.
template <class Y>
YD_HOST_DEVICE void lay_out_pointwise(const DirectConv& conv, int64_t pixel, Tile<Y>& tile) {
  tile.length = conv.in_channels;
  const Y* const residual = static_cast<const Y*>(conv.residual);
  for (int i = 0; i < kPixels; ++i) {
    const int64_t at = pixel + least(i, tile.pixels - 1);
    tile.runs[0][i] = static_cast<const float*>(conv.x) + at * conv.in_channels;
    tile.out[i] = static_cast<Y*>(conv.y) + at * conv.pixel_step;
    tile.residual[i] = residual + (residual == nullptr ? 0 : at * conv.out_channels);
  }
}

/// Lays out the windows of the tile that begins at output pixel `pixel` of n.
template <class Y>
YD_HOST_DEVICE void lay_out(const DirectConv& conv, const float* zeros, int64_t pixel, int64_t n,
                            Tile<Y>& tile) {
  const int64_t row_size = conv.in_width * conv.in_channels;
  tile.pixels = least(kPixels, n - pixel);
  if (reads_single_pixels(conv) && writes_evenly(conv)) {
    return lay_out_pointwise(conv, pixel, tile);
  }
  int64_t column = pixel % conv.out_width, row = pixel / conv.out_width;
  int64_t picture = row / conv.out_height;
  row %= conv.out_height;
  int64_t top[kPixels], left[kPixels];
  const float* from[kPixels];
  const float* const x = static_cast<const float*>(conv.x);
  Y* const y = static_cast<Y*>(conv.y);
  const Y* const residual = static_cast<const Y*>(conv.residual);
  bool inside = true;
  for (int i = 0; i < kPixels; ++i) {
    top[i] = row * conv.stride - conv.top;
    left[i] = column * conv.stride - conv.left;
    inside = inside && left[i] >= 0 && left[i] + conv.kernel_width <= conv.in_width;
    from[i] = x + (picture * conv.in_height + top[i]) * row_size + left[i] * conv.in_channels;
    const int64_t to = picture * conv.picture_step + row * conv.row_step + column * conv.pixel_step;
    tile.out[i] = y + to;
    const int64_t dense = (pixel + least(i, tile.pixels - 1)) * conv.out_channels;
    tile.residual[i] = residual + (residual == nullptr ? 0 : dense);
    if (i + 1 >= tile.pixels) continue;
    if (++column == conv.out_width) {
      column = 0;
      if (++row == conv.out_height) {
        row = 0;
        ++picture;
      }
    }
  }
  if (inside) {
    tile.length = conv.kernel_width * conv.in_channels;
    for (int64_t p = 0; p < conv.kernel_height; ++p) {
      for (int i = 0; i < kPixels; ++i) {
        const bool is_zero = top[i] + p < 0 || top[i] + p >= conv.in_height;
        tile.runs[p][i] = is_zero ? zeros : from[i] + p * row_size;
      }
    }
    return;
  }
  tile.length = conv.in_channels;
  for (int64_t p = 0; p < conv.kernel_height; ++p) {
    for (int64_t q = 0; q < conv.kernel_width; ++q) {
      for (int i = 0; i < kPixels; ++i) {
        const int64_t at_row = top[i] + p, at_column = left[i] + q;
        const bool is_zero =
            at_row < 0 || at_row >= conv.in_height || at_column < 0 || at_column >= conv.in_width;
        tile.runs[p * conv.kernel_width + q][i] =
            is_zero ? zeros : from[i] + p * row_size + q * conv.in_channels;
      }
    }
  }
}

/// Brings into the L2 cache what the tile will read.
template <class Y>
YD_HOST_DEVICE void fetch_windows(const DirectConv& conv, const Tile<Y>& tile) {
  constexpr int64_t kLineFloats = 64 / sizeof(float);
  const int64_t runs = products_of(conv) / tile.length;
  for (int64_t run = 0; run < runs; ++run) {
    for (int i = 0; i < kPixels; ++i) {
      for (int64_t k = 0; k < tile.length; k += kLineFloats) {
        __builtin_prefetch(tile.runs[run][i] + k, 0, 2);
      }
    }
  }
}

/// From the sums of a tile and a part of a panel to the output.
template <class Product, bool kSilu, bool kResidual, class Y>
YD_HOST_DEVICE void finish_tile(const DirectConv& conv, const Tile<Y>& tile, const float* sums,
                                int64_t channel, int64_t channels) {
  for (int64_t i = 0; i < tile.pixels; ++i) {
    for_each_pack<float>(
        channels, [&](const auto& c) __attribute__((always_inline)) {
          using Sum = typename Product::Sum;
          Product::template finish<kSilu, kResidual>(conv, Sum(c.load(sums + i * kPanel)),
                                                     c.after(channel), tile.residual[i],
                                                     tile.out[i]);
        });
  }
}

template <int n>
using Columns = std::integral_constant<int, n>;

/// Panels [first, last) of `tiles` tiles from output pixel `pixel` of n on.
template <class Product, class Y, bool kSilu, bool kResidual>
void run_chunk(const DirectConv& conv, int64_t tiles, int64_t pixel, int64_t n, int64_t first,
               int64_t last) {
  const int64_t products = products_of(conv);
  const int64_t panels = panels_of(conv);
  const float* zeros = conv.weights + panels * products * kPanel;
  const int64_t blocks = (products + kDepth - 1) / kDepth;
  const int64_t depth = (products + blocks - 1) / blocks;
  const bool fetches = conv.kernel_height > 1;  // else the processor sees what comes
  Chunk<Y> chunk;
  for (int64_t t = 0; t < tiles; ++t) {
    lay_out(conv, zeros, pixel + t * kPixels, n, chunk.tiles[t]);
  }
  for (int64_t panel = first; panel < last; ++panel) {
    const int64_t channel = panel * kPanel, channels = least(kPanel, conv.out_channels - channel);
    const float* weights = conv.weights + panel * products * kPanel;
    float bias[kPanel] = {};
    if (conv.bias != nullptr) {
      __builtin_memcpy(bias, conv.bias + channel, size_t(channels) * sizeof(float));
    }
    const auto run = [&](auto columns, auto ends_in_place) __attribute__((always_inline)) {
      constexpr int kColumns = decltype(columns)::value;
      constexpr bool kEnds = decltype(ends_in_place)::value;
      for (int64_t begin = 0; begin < products; begin += depth) {
        const int64_t end = least(begin + depth, products);
        const bool ends = kEnds && end == products;
        const auto add =
            begin == 0 ? (ends ? multiply<Product, kColumns, true, kEnds, kSilu, kResidual, Y>
                               : multiply<Product, kColumns, true, false, false, false, Y>)
                       : (ends ? multiply<Product, kColumns, false, kEnds, kSilu, kResidual, Y>
                               : multiply<Product, kColumns, false, false, false, false, Y>);
        for (int64_t t = 0; t < tiles; ++t) {
          if (fetches && panel == first && begin == 0 && t + 2 < tiles) {
            fetch_windows(conv, chunk.tiles[t + 2]);
          }
          add(conv, chunk.tiles[t], begin, end, weights, bias, chunk.sums[t], channel);
        }
      }
    };
    if (channels == kPanel) {
      run(Columns<kVectors>(), std::true_type());
    } else if (channels == kLanes) {
      run(Columns<1>(), std::true_type());
    } else {
      run(Columns<kVectors>(), std::false_type());
      for (int64_t t = 0; t < tiles; ++t) {
        finish_tile<Product, kSilu, kResidual>(conv, chunk.tiles[t], chunk.sums[t], channel,
                                               channels);
      }
    }
  }
}

template <class Product, class Y, bool kSilu, bool kResidual>
void run_as(const DirectConv& conv) {
  const int64_t n = conv.batch * conv.out_height * conv.out_width;
  const int64_t panels = panels_of(conv);
  const auto [tiles, chunks, parts] = chunks_of(conv, num_threads());
  parallel_for(chunks * parts, 1, [=, tiles = tiles, chunks = chunks, parts = parts](int64_t i) {
    const int64_t begin = tiles * (i / parts) / chunks, end = tiles * (i / parts + 1) / chunks;
    const int64_t first = panels * (i % parts) / parts, last = panels * (i % parts + 1) / parts;
    run_chunk<Product, Y, kSilu, kResidual>(conv, end - begin, begin * kPixels, n, first, last);
  });
}

template <class Product, class Y>
void run_with(const DirectConv& conv) {
  if (conv.residual != nullptr) {
    conv.silu ? run_as<Product, Y, true, true>(conv) : run_as<Product, Y, false, true>(conv);
  } else {
    conv.silu ? run_as<Product, Y, true, false>(conv) : run_as<Product, Y, false, false>(conv);
  }
}

/// Numbers of all panels' weights, and a window's row of zeros.
YD_HOST_DEVICE int64_t packed_numbers(const DirectConv& conv) {
  return panels_of(conv) * kPanel * products_of(conv) + conv.kernel_width * conv.in_channels;
}

/// Lays them out: put(from, channels, out) writes a panel's numbers for the inputs at `from`, of
/// which each number holds kInputs.
template <int kInputs, class Put>
YD_HOST_DEVICE void pack_panels(const DirectConv& conv, const WeightView& weights, float* to,
                                const Put& put) {
  const int64_t row = conv.kernel_width * conv.in_channels, panels = panels_of(conv);
  parallel_for(panels * conv.kernel_height, 1, [=](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    const int64_t first = panel * kPanel, channels = least(kPanel, conv.out_channels - first);
    float* out = to + i * row * kPanel;
    for (int64_t q = 0; q < conv.kernel_width; ++q) {
      const float* from = weights.base + first * weights.out + p * weights.row + q * weights.column;
      for (int64_t c = 0; c < conv.in_channels; ++c, out += kPanel) {
        put(from + c * kInputs * weights.in, channels, out);
      }
    }
  });
  fill_zero(to + panels * kPanel * products_of(conv), row);
}

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
