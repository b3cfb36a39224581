// SPDX-License-Identifier: MIT
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
struct Tile {
  const float* runs[kMaxTaps][kPixels];
  int64_t length;
  float* out[kPixels];
  const float* residual[kPixels];
  int64_t pixels;  // of the last one maybe fewer than kPixels; the rest repeats
};

struct Chunk {
  Tile tiles[kTiles];
  float sums[kTiles][kPixels * kPanel];
};

/// Where the sums of a tile and a panel begin and end: at the bias (kBegin) or where the last block
/// of products left them; in the output itself (kEnd) or where the next one finds them.
template <bool kBegin, bool kEnd>
[[gnu::noinline]] void multiply(const Tile& tile, int64_t first, int64_t last, const float* weights,
                                const float* bias, float* sums, int64_t channel) {
  Vector sum[kPixels][kVectors];
  for (int i = 0; i < kPixels; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = load((kBegin ? bias : sums + i * kPanel) + v * kLanes);
    }
  }
  const int64_t length = tile.length;
  int64_t run = first / length, at = first - run * length;
  const float* weight = weights + first * kPanel;
  while (first < last) {
    const int64_t end = least(length, at + (last - first));
    add_products<kPixels>(tile.runs[run], at, end, weight, sum);
    weight += (end - at) * kPanel;
    first += end - at;
    at = 0;
    ++run;
  }
  // The pixels that only fill up a tile repeat its last one: writing them again does no harm.
  for (int i = 0; i < kPixels; ++i) {
    float* const to = kEnd ? tile.out[i] + channel : sums + i * kPanel;
    for (int v = 0; v < kVectors; ++v) store(sum[i][v], to + v * kLanes);
  }
}

/// Lays out the windows of the tile that begins at output pixel `pixel` of n.
YD_HOST_DEVICE void lay_out(const DirectConv& conv, const float* zeros, int64_t pixel, int64_t n,
                            Tile& tile) {
  const int64_t row_size = conv.in_width * conv.in_channels;
  tile.pixels = least(kPixels, n - pixel);
  int64_t column = pixel % conv.out_width, row = pixel / conv.out_width;
  int64_t picture = row / conv.out_height;
  row %= conv.out_height;
  int64_t top[kPixels], left[kPixels];
  const float* from[kPixels];
  const float* const x = static_cast<const float*>(conv.x);
  float* const y = static_cast<float*>(conv.y);
  const float* const residual = static_cast<const float*>(conv.residual);
  bool inside = true;
  for (int i = 0; i < kPixels; ++i) {
    top[i] = row * conv.stride - conv.top;
    left[i] = column * conv.stride - conv.left;
    inside = inside && left[i] >= 0 && left[i] + conv.kernel_width <= conv.in_width;
    from[i] = x + (picture * conv.in_height + top[i]) * row_size + left[i] * conv.in_channels;
    const int64_t to = picture * conv.picture_step + row * conv.row_step + column * conv.pixel_step;
    tile.out[i] = y + to;
    tile.residual[i] = residual + (residual == nullptr ? 0 : to);
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

/// From the sums of a tile and a panel to the output.
template <bool kSilu, bool kResidual>
YD_HOST_DEVICE void finish(const Tile& tile, const float* sums, int64_t channel, int64_t channels) {
  for (int64_t i = 0; i < tile.pixels; ++i) {
    const float* residual = tile.residual[i] + (kResidual ? channel : 0);
    float* const y = tile.out[i] + channel;
    if (channels == kPanel) {
      finish_channels<kSilu, kResidual>(sums + i * kPanel, residual, kPanel, y);
    } else {
      finish_channels<kSilu, kResidual>(sums + i * kPanel, residual, channels, y);
    }
  }
}

/// Panels [first, last) of `tiles` tiles from output pixel `pixel` of n on.
template <bool kSilu, bool kResidual>
void run_chunk(const DirectConv& conv, int64_t tiles, int64_t pixel, int64_t n, int64_t first,
               int64_t last) {
  const int64_t products = products_of(conv);
  const int64_t panels = panels_of(conv);
  const float* zeros = conv.weights + panels * products * kPanel;
  const int64_t blocks = (products + kDepth - 1) / kDepth;
  const int64_t depth = (products + blocks - 1) / blocks;
  Chunk chunk;
  for (int64_t t = 0; t < tiles; ++t) {
    lay_out(conv, zeros, pixel + t * kPixels, n, chunk.tiles[t]);
  }
  for (int64_t panel = first; panel < last; ++panel) {
    const int64_t channel = panel * kPanel, channels = least(kPanel, conv.out_channels - channel);
    const float* weights = conv.weights + panel * products * kPanel;
    float bias[kPanel] = {};
    if (conv.bias != nullptr) {
      for (int64_t c = 0; c < channels; ++c) bias[c] = conv.bias[channel + c];
    }
    const bool ends_in_place = !kSilu && !kResidual && channels == kPanel;
    for (int64_t begin = 0; begin < products; begin += depth) {
      const int64_t end = least(begin + depth, products);
      const bool ends = ends_in_place && end == products;
      const auto add = begin == 0 ? (ends ? multiply<true, true> : multiply<true, false>)
                                  : (ends ? multiply<false, true> : multiply<false, false>);
      for (int64_t t = 0; t < tiles; ++t) {
        add(chunk.tiles[t], begin, end, weights, bias, chunk.sums[t], channel);
      }
    }
    for (int64_t t = 0; t < tiles && !ends_in_place; ++t) {
      finish<kSilu, kResidual>(chunk.tiles[t], chunk.sums[t], channel, channels);
    }
  }
}

template <bool kSilu, bool kResidual>
void run_as(const DirectConv& conv) {
  const int64_t n = conv.batch * conv.out_height * conv.out_width;
  const int64_t panels = panels_of(conv);
  const auto [tiles, chunks, parts] = chunks_of(conv, num_threads());
  parallel_for(chunks * parts, 1, [=, tiles = tiles, chunks = chunks, parts = parts](int64_t i) {
    const int64_t begin = tiles * (i / parts) / chunks, end = tiles * (i / parts + 1) / chunks;
    const int64_t first = panels * (i % parts) / parts, last = panels * (i % parts + 1) / parts;
    run_chunk<kSilu, kResidual>(conv, end - begin, begin * kPixels, n, first, last);
  });
}

void run(const DirectConv& conv) {
  if (conv.residual != nullptr) {
    conv.silu ? run_as<true, true>(conv) : run_as<false, true>(conv);
  } else {
    conv.silu ? run_as<true, false>(conv) : run_as<false, false>(conv);
  }
}

int64_t packed_size(const DirectConv& conv) {
  const int64_t panels = panels_of(conv);
  return panels * kPanel * products_of(conv) + conv.kernel_width * conv.in_channels;
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  const int64_t products = products_of(conv);
  const int64_t panels = panels_of(conv);
  parallel_for(panels * conv.kernel_height, 1, [=](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    const int64_t first = panel * kPanel, channels = least(kPanel, conv.out_channels - first);
    for (int64_t q = 0; q < conv.kernel_width; ++q) {
      const float* from = weights.base + first * weights.out + p * weights.row + q * weights.column;
      float* out =
          to + panel * products * kPanel + (p * conv.kernel_width + q) * conv.in_channels * kPanel;
      for (int64_t c = 0; c < conv.in_channels; ++c, out += kPanel) {
        for (int64_t o = 0; o < channels; ++o) out[o] = from[o * weights.out + c * weights.in];
        for (int64_t o = channels; o < kPanel; ++o) out[o] = 0;
      }
    }
  });
  float* zeros = to + panels * products * kPanel;
  for (int64_t i = 0; i < conv.kernel_width * conv.in_channels; ++i) zeros[i] = 0;
}

}  // namespace

const DirectConvKernels& direct_conv_kernels() {
  static const DirectConvKernels kernels{packed_size, pack, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
