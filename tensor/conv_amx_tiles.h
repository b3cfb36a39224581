// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): the product of conv_amx_kernels.h and its ending. A Kind says of
// what numbers:
//
//   Number                                   the picture's
//   multiply<sums, left, right>(tiles)       adds to a tile of sums, float32 or int32
//   outside(conv)                            the byte that the picture's border consists of
//   finish_some<Y, kSilu, kResidual>(conv, pending, count)
//                                            from the sums of so many outputs more to y; in fours
#pragma once

#include <ydistill/tensor/amx_tiles.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPixels = 2 * kTileRows, kChannels = 2 * kTileColumns;  // of a product
constexpr int64_t kChunkBytes = 256 * 1024;    // of the picture, copied: with weights within an L2
constexpr int64_t kCachedWeights = 20 * 1024;  // bytes, that stay in an L1 beside a few windows
constexpr int64_t kLine = 64;

/// How a convolution is cut up. Rows and columns are the output's; sizes are bytes.
struct Cut {
  bool is_copied;
  int64_t pixel;         // of the picture
  int64_t steps, depth;  // in how many goes a row of a window is summed up, and how much each time
  int64_t tile;          // of weights
  int64_t panels;        // of kChannels
  int64_t border;        // columns in front of a copied row
  int64_t column;        // in which the first output's window begins
  int64_t width;         // outputs counted for a row
  int64_t rows;          // of a chunk
  int64_t chunks_of_picture, chunks;
  int64_t parts;     // in which threads share the panels
  int64_t in_rows;   // of a phase, copied for a chunk
  int64_t row_size;  // of a copied row
  int64_t behind;    // that follows, for tiles that read on behind the last output
  int64_t places;    // that the places of a chunk's outputs take
  int64_t scratch;   // of one thread

  YD_HOST_DEVICE int64_t panel_size(const DirectConv& conv) const {
    return conv.kernel_height * steps * 2 * tile;
  }
};

/// Of an output in y, or -1, and in the residual.
struct Place {
  int64_t y, residual;
};

YD_HOST_DEVICE int64_t in_lines(int64_t bytes) {
  return ceil_div(bytes, kLine) * kLine;
}
YD_HOST_DEVICE int64_t places_of(int64_t outputs) {
  return in_lines(outputs * int64_t(sizeof(Place)));
}

/// What the weights alone decide, of numbers of `size` bytes.
Cut cut_weights(const DirectConv& conv, int64_t size) {
  Cut cut{};
  cut.pixel = conv.in_channels * size;
  const int64_t run = conv.kernel_width * cut.pixel;
  cut.steps = ceil_div(run, kTileRowBytes);
  cut.depth = ceil_div(run, 4 * cut.steps) * 4;
  cut.tile = cut.depth * kTileColumns;
  cut.panels = ceil_div(conv.out_channels, kChannels);
  return cut;
}

/// The rest as well. Scratch memory is asked for chunks as large as they may be: cut for other
/// threads or for a smaller batch they never take more.
Cut cut_up(const DirectConv& conv, int64_t threads, int64_t size) {
  Cut cut = cut_weights(conv, size);
  const bool is_pointwise = reads_single_pixels(conv) && writes_evenly(conv);
  const int64_t outputs = conv.batch * conv.out_height * conv.out_width;
  const bool may_stay = is_pointwise && cut.steps * cut.depth == cut.pixel;
  cut.is_copied = !may_stay || outputs < kPixels;
  const int64_t weights = cut.panels * cut.panel_size(conv);
  const int64_t pictures = conv.batch * conv.in_height * conv.in_width * cut.pixel;
  cut.parts = weights > pictures ? least(threads, cut.panels) : 1;
  const int64_t even = ceil_div(threads, cut.parts);  // chunks for each thread
  const int64_t biases = cut.panels * kChannels * int64_t(sizeof(float));
  if (!cut.is_copied) {
    const int64_t rows = outputs / kPixels;  // of kPixels outputs
    const int64_t most = clamp(kChunkBytes / 2 / (cut.pixel * kPixels), 1, rows);
    cut.chunks = least(ceil_div(ceil_div(rows, most), even) * even, rows);
    cut.places = places_of((most + 2) * kPixels);
    // Fewer pictures might be copied.
    const int64_t one = places_of(3 * kPixels) + (2 * kPixels + 1) * cut.pixel + kLine;
    cut.scratch = in_lines(cut.places > one ? cut.places : one) + biases;
    return cut;
  }
  const int64_t s = conv.stride;
  cut.border = conv.left > 0 ? conv.left : 0;
  cut.column = cut.border - conv.left;
  cut.width = counted_width(conv.in_width, conv.out_width, conv.kernel_width, s, conv.left);
  cut.row_size = cut.width * s * cut.pixel;
  const int64_t most = clamp(kChunkBytes / (s * cut.row_size), 1, conv.out_height);
  cut.chunks_of_picture = ceil_div(conv.out_height, most);
  // As many for every thread, where a chunk keeps some rows.
  while (conv.batch * cut.chunks_of_picture % even != 0 &&
         conv.out_height / (cut.chunks_of_picture + 1) * cut.width >= 2 * kPixels) {
    ++cut.chunks_of_picture;
  }
  cut.rows = ceil_div(conv.out_height, cut.chunks_of_picture);
  cut.chunks_of_picture = ceil_div(conv.out_height, cut.rows);
  cut.chunks = conv.batch * cut.chunks_of_picture;
  const int64_t more_rows = (conv.kernel_height - 1) / s;
  cut.in_rows = cut.rows + more_rows;
  cut.behind = ((kPixels + conv.kernel_width) * s + cut.column) * cut.pixel + kLine;
  cut.places = places_of(most * cut.width + kPixels);
  const int64_t copy = s * (most + more_rows) * cut.row_size + cut.behind;
  cut.scratch = cut.places + in_lines(copy) + biases;
  return cut;
}

/// The windows of neighbouring outputs: of the first one the rows, and bytes from one to the next.
struct Windows {
  const std::byte* rows[kMaxDirectKernel];
  int64_t height, steps, depth, step, tile;

  /// Cache lines that the next kPixels outputs add to a row of windows.
  YD_HOST_DEVICE int64_t next_lines() const { return ceil_div(kPixels * step, kLine); }
};

/// A product whose sums [kPixels][kChannels] wait to be finished.
struct Pending {
  const float* sums;  // or integers: the Kind knows
  const Place* at;    // of kPixels outputs
  int64_t channel, channels;
  int64_t done;  // outputs
};

/// sums = bias + windows of kPixels outputs from `pixel` on times a panel of which kColumns tiles
/// have channels. Meanwhile `before`, the product before, is finished: while tiles are multiplied
/// the vector units are free. fetches: brings the last rows of the windows behind into the L1
/// cache.
template <class Kind, class Tiles, int kColumns, class Y, bool kSilu, bool kResidual>
[[gnu::noinline]] void multiply(Tiles& tiles, const Windows& windows, int64_t pixel,
                                const std::byte* panel, const float* bias, float* sums,
                                const DirectConv& conv, Pending& before, bool fetches) {
  tiles.template load<0>(bias, 0);
  tiles.template load<2>(bias, 0);
  if constexpr (kColumns == 2) {
    tiles.template load<1>(bias + kTileColumns, 0);
    tiles.template load<3>(bias + kTileColumns, 0);
  }
  const int64_t share = ceil_div(kPixels, 4 * windows.height * windows.steps) * 4;
  const int64_t lines = fetches ? ceil_div(windows.next_lines(), windows.steps) : 0;
  for (int64_t p = 0; p < windows.height; ++p) {
    const std::byte* first = windows.rows[p] + pixel * windows.step;
    const std::byte* second = first + kTileRows * windows.step;
    // What follows the bytes that the last of these windows reads.
    const std::byte* next = second + kTileRows * windows.step + windows.steps * windows.depth -
                            least(windows.step, windows.steps * windows.depth);
    for (int64_t k = 0; k < windows.steps; ++k) {
      tiles.template load<4>(first + k * windows.depth, windows.step);
      tiles.template load<6>(panel, kTileRowBytes);
      Kind::template multiply<0, 4, 6>(tiles);
      if constexpr (kColumns == 2) {
        tiles.template load<7>(panel + windows.tile, kTileRowBytes);
        Kind::template multiply<1, 4, 7>(tiles);
      }
      tiles.template load<5>(second + k * windows.depth, windows.step);
      Kind::template multiply<2, 5, 6>(tiles);
      if constexpr (kColumns == 2) Kind::template multiply<3, 5, 7>(tiles);
      panel += 2 * windows.tile;
      if (p + 1 == windows.height) {
        for (int64_t i = 0; i < lines; ++i, next += kLine) __builtin_prefetch(next, 0, 3);
      }
      Kind::template finish_some<Y, kSilu, kResidual>(conv, before, share);
    }
  }
  constexpr int64_t kRow = kChannels * sizeof(float);
  tiles.template store<0>(sums, kRow);
  tiles.template store<2>(sums + kTileRows * kChannels, kRow);
  if constexpr (kColumns == 2) {
    tiles.template store<1>(sums + kTileColumns, kRow);
    tiles.template store<3>(sums + kTileRows * kChannels + kTileColumns, kRow);
  }
}

/// Rows [first, first + cut.rows) of a picture's outputs read these, with their border.
void copy_chunk(const DirectConv& conv, const Cut& cut, int64_t picture, int64_t first,
                uint8_t outside, std::byte* to) {
  const int64_t s = conv.stride, in_row = conv.in_width * cut.pixel;
  const int64_t length = least(conv.in_width, cut.width * s - cut.border) * cut.pixel;
  const int64_t front = cut.border * cut.pixel;
  const std::byte* const x =
      static_cast<const std::byte*>(conv.x) + picture * conv.in_height * in_row;
  const auto fill = [=](std::byte* from, int64_t n) { __builtin_memset(from, outside, size_t(n)); };
  for (int64_t phase = 0; phase < s; ++phase) {
    for (int64_t i = 0; i < cut.in_rows; ++i, to += cut.row_size) {
      const int64_t row = (first + i) * s + phase - conv.top;
      if (row < 0 || row >= conv.in_height) {
        fill(to, cut.row_size);
        continue;
      }
      fill(to, front);
      __builtin_memcpy(to + front, x + row * in_row, size_t(length));
      fill(to + front + length, cut.row_size - front - length);
    }
  }
  fill(to, cut.behind);
}

/// What one thread does.
template <class Kind, class Tiles, class Y, bool kSilu, bool kResidual>
class Runner {
 public:
  Runner(const DirectConv& conv, const Cut& cut, std::byte* scratch)
      : conv_(conv), cut_(cut), copy_(scratch + cut.places), tiles_(cut.depth) {
    places_ = reinterpret_cast<Place*>(scratch);
    bias_ = reinterpret_cast<float*>(scratch + cut.scratch) - cut.panels * kChannels;
    fill_zero(bias_, cut.panels * kChannels);
    if (conv.bias == nullptr) return;
    __builtin_memcpy(bias_, conv.bias, size_t(conv.out_channels) * sizeof(float));
  }

  /// Chunk `chunk`, panels [first, last).
  void run(int64_t chunk, int64_t first, int64_t last) {
    cut_.is_copied ? run_copied(chunk, first, last) : run_in_place(chunk, first, last);
  }

 private:
  Windows windows(int64_t step) const {
    return {.rows = {},
            .height = conv_.kernel_height,
            .steps = cut_.steps,
            .depth = cut_.depth,
            .step = step,
            .tile = cut_.tile};
  }

  void run_in_place(int64_t chunk, int64_t first, int64_t last) {
    const int64_t outputs = conv_.batch * conv_.out_height * conv_.out_width;
    const int64_t rows = outputs / kPixels;
    const int64_t begin = rows * chunk / cut_.chunks * kPixels;
    const int64_t end =
        chunk + 1 == cut_.chunks ? outputs : rows * (chunk + 1) / cut_.chunks * kPixels;
    for (int64_t i = begin; i < end; ++i) {
      places_[i - begin] = {i * conv_.pixel_step, i * conv_.out_channels};
    }
    Windows in_place = windows(cut_.pixel);
    in_place.rows[0] = static_cast<const std::byte*>(conv_.x) + begin * cut_.pixel;
    multiply_all(in_place, end - begin, first, last);
  }

  void run_copied(int64_t chunk, int64_t first, int64_t last) {
    const int64_t picture = chunk / cut_.chunks_of_picture;
    const int64_t begin = chunk % cut_.chunks_of_picture * cut_.rows;
    const int64_t rows = least(cut_.rows, conv_.out_height - begin);
    if (chunk != copied_) copy_chunk(conv_, cut_, picture, begin, Kind::outside(conv_), copy_);
    copied_ = chunk;
    const int64_t s = conv_.stride;
    Windows copied = windows(s * cut_.pixel);
    for (int64_t p = 0; p < conv_.kernel_height; ++p) {
      copied.rows[p] =
          copy_ + (p % s * cut_.in_rows + p / s) * cut_.row_size + cut_.column * cut_.pixel;
    }
    Place* place = places_;
    for (int64_t row = 0; row < rows; ++row) {
      const int64_t at = picture * conv_.picture_step + (begin + row) * conv_.row_step;
      const int64_t pixel = (picture * conv_.out_height + begin + row) * conv_.out_width;
      for (int64_t i = 0; i < conv_.out_width; ++i) {
        *place++ = {at + i * conv_.pixel_step, (pixel + i) * conv_.out_channels};
      }
      for (int64_t i = conv_.out_width; i < cut_.width; ++i) *place++ = {-1, 0};
    }
    for (int64_t i = 0; i < kPixels; ++i) *place++ = {-1, 0};
    multiply_all(copied, rows * cut_.width - (cut_.width - conv_.out_width), first, last);
  }

  void multiply_all(const Windows& windows, int64_t outputs, int64_t first, int64_t last) {
    Pending pending{.sums = sums_[1], .at = places_, .channel = 0, .channels = 0, .done = kPixels};
    int64_t turn = 0;
    const int64_t panel_size = cut_.panel_size(conv_);
    const auto product = [&](int64_t panel, int64_t next, bool fetches) {
      const int64_t channel = panel * kChannels;
      const int64_t channels = least(kChannels, conv_.out_channels - channel);
      const std::byte* const weights =
          reinterpret_cast<const std::byte*>(conv_.weights) + panel * panel_size;
      // In place the last product does some outputs again rather than read on behind the picture.
      const int64_t pixel = cut_.is_copied ? next : least(next, outputs - kPixels);
      float* const sums = sums_[turn];
      const auto run = channels > kTileColumns ? multiply<Kind, Tiles, 2, Y, kSilu, kResidual>
                                               : multiply<Kind, Tiles, 1, Y, kSilu, kResidual>;
      run(tiles_, windows, pixel, weights, bias_ + channel, sums, conv_, pending, fetches);
      pending = {sums, places_ + pixel, channel, channels, 0};
      turn = 1 - turn;
    };
    if ((last - first) * panel_size <= kCachedWeights) {
      for (int64_t next = 0; next < outputs; next += kPixels) {
        for (int64_t panel = first; panel < last; ++panel) product(panel, next, panel == first);
      }
    } else {
      for (int64_t panel = first; panel < last; ++panel) {
        for (int64_t next = 0; next < outputs; next += kPixels) product(panel, next, false);
      }
    }
    Kind::template finish_some<Y, kSilu, kResidual>(conv_, pending, kPixels);
  }

  const DirectConv& conv_;
  const Cut& cut_;
  Place* places_;
  float* bias_;
  std::byte* const copy_;
  int64_t copied_ = -1;
  Tiles tiles_;
  alignas(64) float sums_[2][kPixels * kChannels];
};

template <class Kind, class Tiles, class Y, bool kSilu, bool kResidual>
void run_as(const DirectConv& conv, int64_t threads, float* scratch) {
  const Cut cut = cut_up(conv, threads, sizeof(typename Kind::Number));
  const int64_t tasks = cut.chunks * cut.parts;
  parallel_for(threads, 1, [&](int64_t thread) {
    std::byte* const own = reinterpret_cast<std::byte*>(scratch) + thread * cut.scratch;
    Runner<Kind, Tiles, Y, kSilu, kResidual> runner(conv, cut, own);
    for (int64_t i = tasks * thread / threads; i < tasks * (thread + 1) / threads; ++i) {
      const int64_t part = i / cut.chunks;
      runner.run(i % cut.chunks, cut.panels * part / cut.parts,
                 cut.panels * (part + 1) / cut.parts);
    }
  });
}

template <class Kind, class Tiles>
void run_with(const DirectConv& conv, int64_t threads, float* scratch) {
  using Number = typename Kind::Number;
  // Logits and what else is wanted in float32 comes without SiLU.
  if (conv.y_dtype == DType::kFloat32) {
    return run_as<Kind, Tiles, float, false, false>(conv, threads, scratch);
  }
  if (conv.residual != nullptr) {
    conv.silu ? run_as<Kind, Tiles, Number, true, true>(conv, threads, scratch)
              : run_as<Kind, Tiles, Number, false, true>(conv, threads, scratch);
  } else {
    conv.silu ? run_as<Kind, Tiles, Number, true, false>(conv, threads, scratch)
              : run_as<Kind, Tiles, Number, false, false>(conv, threads, scratch);
  }
}

template <class Kind>
int64_t scratch_size(const DirectConv& conv, int64_t threads) {
  const Cut cut = cut_up(conv, threads, sizeof(typename Kind::Number));
  return threads * cut.scratch / int64_t(sizeof(float));
}

}  // namespace
}  // namespace ydistill::YD_CPU_LEVEL
