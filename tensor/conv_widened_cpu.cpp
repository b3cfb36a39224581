// SPDX-License-Identifier: MIT
// The product of conv_direct_kernels.h for bfloat16. Widening a number each time it is multiplied
// would cost as much as the multiplication. So the left factor is widened to float32 a few tiles
// and products at a time, and multiplied with all output channels while it is in the L2 cache.
#include <ydistill/tensor/direct_chunks.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPixels = kTiles * kRows;

/// Per thread: the left factor, [kPixels][up to kDepth], then the sums, [panels][kPixels][kPanel].
int64_t scratch_of_thread(const DirectConv& conv) {
  return kPixels * (kDepth + panels_of(conv) * kPanel);
}

/// Numbers [begin, end) of the window whose first pixel is (top, left); zeros outside the picture.
YD_HOST_DEVICE void widen_window(const DirectConv& conv, const BFloat16* picture, int64_t top,
                                 int64_t left, int64_t begin, int64_t end, float* to) {
  const int64_t run = conv.kernel_width * conv.in_channels;  // a row of the window
  const int64_t first_inside = left < 0 ? -left * conv.in_channels : 0;
  const int64_t end_inside = (conv.in_width - left) * conv.in_channels;
  for (int64_t p = begin / run; begin < end; ++p) {
    const int64_t first = begin - p * run, last = least(run, first + end - begin), row = top + p;
    const bool is_outside = row < 0 || row >= conv.in_height;
    const int64_t inside = is_outside ? last : clamp(first_inside, first, last);
    const int64_t outside = is_outside ? last : clamp(end_inside, inside, last);
    const int64_t at = (row * conv.in_width + left) * conv.in_channels;
    fill_zero(to, inside - first);
    if (outside > inside) copy_run(picture + (at + inside), outside - inside, to + inside - first);
    fill_zero(to + outside - first, last - outside);
    to += last - first;
    begin += last - first;
  }
}

/// The position of an output pixel.
struct Pixel {
  int64_t picture, row, column;

  YD_HOST_DEVICE void go_on(const DirectConv& conv) {
    if (++column < conv.out_width) return;
    column = 0;
    if (++row < conv.out_height) return;
    row = 0;
    ++picture;
  }
};

YD_HOST_DEVICE Pixel pixel_at(const DirectConv& conv, int64_t pixel) {
  const int64_t row = pixel / conv.out_width;
  return {row / conv.out_height, row % conv.out_height, pixel % conv.out_width};
}

/// Numbers [begin, end) of the windows of n pixels from `pixel` on: rows of the left factor.
YD_HOST_DEVICE void widen(const DirectConv& conv, int64_t pixel, int64_t n, int64_t begin,
                          int64_t end, float* rows) {
  const BFloat16* const x = static_cast<const BFloat16*>(conv.x);
  if (products_of(conv) == end - begin && reads_single_pixels(conv)) {
    return copy_run(x + pixel * conv.in_channels, n * conv.in_channels, rows);
  }
  Pixel at = pixel_at(conv, pixel);
  for (int64_t i = 0; i < n; ++i, at.go_on(conv), rows += end - begin) {
    widen_window(conv, x + at.picture * conv.in_height * conv.in_width * conv.in_channels,
                 at.row * conv.stride - conv.top, at.column * conv.stride - conv.left, begin, end,
                 rows);
  }
}

/// sums[kRows][kPanel] += rows times weights; with kBegin the sums start from the bias.
template <bool kBegin>
[[gnu::noinline]] void multiply(const float* rows, int64_t depth, const float* weights,
                                const float* bias, float* sums) {
  const float* row[kRows];
  Vector sum[kRows][kVectors];
  for (int i = 0; i < kRows; ++i) {
    row[i] = rows + i * depth;
    for (int v = 0; v < kVectors; ++v) {
      sum[i][v] = load((kBegin ? bias : sums + i * kPanel) + v * kLanes);
    }
  }
  add_products(row, 0, depth, weights, sum);
  for (int i = 0; i < kRows; ++i) {
    for (int v = 0; v < kVectors; ++v) store(sum[i][v], sums + i * kPanel + v * kLanes);
  }
}

/// Panels [first, last) of output pixels [pixel, end).
template <class Y, bool kSilu, bool kResidual>
void run_chunk(const DirectConv& conv, int64_t pixel, int64_t end, int64_t first, int64_t last,
               float* scratch) {
  const int64_t products = products_of(conv), n = end - pixel, tiles = ceil_div(n, kRows);
  const int64_t blocks = ceil_div(products, kDepth), depth = ceil_div(products, blocks);
  float* const rows = scratch;
  float* const sums = scratch + kPixels * kDepth;
  for (int64_t begin = 0; begin < products; begin += depth) {
    const int64_t count = least(depth, products - begin);
    widen(conv, pixel, n, begin, begin + count, rows);
    fill_zero(rows + n * count, (tiles * kRows - n) * count);
    for (int64_t panel = first; panel < last; ++panel) {
      const float* const weights = conv.weights + (panel * products + begin) * kPanel;
      float bias[kPanel] = {};
      if (conv.bias != nullptr && begin == 0) {
        const int64_t channel = panel * kPanel;
        for (int64_t c = 0; c < least(kPanel, conv.out_channels - channel); ++c) {
          bias[c] = conv.bias[channel + c];
        }
      }
      for (int64_t t = 0; t < tiles; ++t) {
        (begin == 0 ? multiply<true>
                    : multiply<false>)(rows + t * kRows * count, count, weights, bias,
                                       sums + (panel * kPixels + t * kRows) * kPanel);
      }
    }
  }
  Pixel at = pixel_at(conv, pixel);
  for (int64_t i = 0; i < n; ++i, at.go_on(conv)) {
    const int64_t to =
        at.picture * conv.picture_step + at.row * conv.row_step + at.column * conv.pixel_step;
    for (int64_t panel = first; panel < last; ++panel) {
      const int64_t channel = panel * kPanel, channels = least(kPanel, conv.out_channels - channel);
      const float* const from = sums + (panel * kPixels + i) * kPanel;
      Y* const y = static_cast<Y*>(conv.y) + (to + channel);
      const Y* residual = static_cast<const Y*>(conv.residual);
      if constexpr (kResidual) residual += to + channel;
      if (channels == kPanel) {
        finish_channels<kSilu, kResidual>(from, residual, kPanel, y);
      } else {
        finish_channels<kSilu, kResidual>(from, residual, channels, y);
      }
    }
  }
}

template <class Y, bool kSilu, bool kResidual>
void run_as(const DirectConv& conv, int64_t threads, float* scratch) {
  const int64_t n = conv.batch * conv.out_height * conv.out_width;
  const int64_t panels = panels_of(conv), size = scratch_of_thread(conv);
  const auto [tiles, chunks, parts] = chunks_of(conv, threads);
  const int64_t tasks = chunks * parts;
  parallel_for(threads, 1, [=, tiles = tiles, chunks = chunks, parts = parts](int64_t thread) {
    for (int64_t i = tasks * thread / threads; i < tasks * (thread + 1) / threads; ++i) {
      const int64_t begin = tiles * (i / parts) / chunks, end = tiles * (i / parts + 1) / chunks;
      const int64_t first = panels * (i % parts) / parts, last = panels * (i % parts + 1) / parts;
      run_chunk<Y, kSilu, kResidual>(conv, begin * kRows, least(end * kRows, n), first, last,
                                     scratch + thread * size);
    }
  });
}

void run(const DirectConv& conv, int64_t threads, float* scratch) {
  // Outputs in float32, such as logits, never have SiLU.
  if (conv.y_dtype == DType::kFloat32) return run_as<float, false, false>(conv, threads, scratch);
  if (conv.residual != nullptr) {
    conv.silu ? run_as<BFloat16, true, true>(conv, threads, scratch)
              : run_as<BFloat16, false, true>(conv, threads, scratch);
  } else {
    conv.silu ? run_as<BFloat16, true, false>(conv, threads, scratch)
              : run_as<BFloat16, false, false>(conv, threads, scratch);
  }
}

int64_t scratch_size(const DirectConv& conv, int64_t threads) {
  return threads * scratch_of_thread(conv);
}

}  // namespace

const WidenedConvKernels& widened_conv_kernels() {
  static const WidenedConvKernels kernels{scratch_size, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
