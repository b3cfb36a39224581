// SPDX-License-Identifier: MIT
#include <ydistill/tensor/amx_tiles.h>
#include <ydistill/tensor/avx512_bf16.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/parallel.h>

#include <type_traits>
#include <utility>

YD_BEGIN_AVX512_BF16;  // which every CPU with AMX has

#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kPixels = 2 * kTileRows, kChannels = 2 * kTileColumns;  // of a product
constexpr int64_t kChunkBytes = 256 * 1024;    // of the picture, copied: with weights within an L2
constexpr int64_t kCachedWeights = 20 * 1024;  // bytes, that stay in an L1 beside a few windows

/// How a convolution is cut up. Rows and columns are the output's.
struct Cut {
  bool is_copied;
  int64_t steps;   // of kTileDepth numbers, that a row of a window takes
  int64_t panels;  // of kChannels
  int64_t border;  // columns of zeros in front of a copied row
  int64_t column;  // in which the first output's window begins
  int64_t width;   // outputs counted for a row
  int64_t rows;    // of a chunk
  int64_t chunks_of_picture, chunks;
  int64_t parts;     // in which threads share the panels
  int64_t in_rows;   // of a phase, copied for a chunk
  int64_t row_size;  // numbers of a copied row
  int64_t behind;    // numbers that follow, for tiles that read on behind the last output
  int64_t places;    // numbers that the places of a chunk's outputs take
  int64_t scratch;   // of one thread
};

/// Of an output in y, or -1, and in the residual.
struct Place {
  int64_t y, residual;
};

/// Numbers of bfloat16 that so many take.
int64_t places_of(int64_t outputs) {
  return ceil_div(outputs * int64_t(sizeof(Place)), 64) * 32;
}

/// Scratch memory is asked for chunks as large as they may be: cut for other threads or for a
/// smaller batch they never take more.
Cut cut_up(const DirectConv& conv, int64_t threads) {
  Cut cut{};
  const int64_t run = conv.kernel_width * conv.in_channels;
  cut.steps = ceil_div(run, kTileDepth);
  cut.panels = ceil_div(conv.out_channels, kChannels);
  const bool is_pointwise = reads_single_pixels(conv) && writes_evenly(conv);
  const int64_t outputs = conv.batch * conv.out_height * conv.out_width;
  const bool may_stay = is_pointwise && conv.in_channels % kTileDepth == 0;
  cut.is_copied = !may_stay || outputs < kPixels;
  const int64_t weights = cut.panels * kChannels * conv.kernel_height * cut.steps * kTileDepth;
  const int64_t pictures = conv.batch * conv.in_height * conv.in_width * conv.in_channels;
  cut.parts = weights > pictures ? least(threads, cut.panels) : 1;
  const int64_t even = ceil_div(threads, cut.parts);  // chunks for each thread
  const int64_t biases = cut.panels * 2 * kChannels;
  constexpr int64_t kHalf = sizeof(BFloat16);
  if (!cut.is_copied) {
    const int64_t rows = outputs / kPixels;  // of kPixels outputs
    const int64_t most = clamp(kChunkBytes / 2 / (conv.in_channels * kPixels * kHalf), 1, rows);
    cut.chunks = least(ceil_div(ceil_div(rows, most), even) * even, rows);
    cut.places = places_of((most + 2) * kPixels);
    // Fewer pictures might be copied.
    const int64_t one = places_of(3 * kPixels) + (2 * kPixels + 1) * conv.in_channels + kTileDepth;
    cut.scratch = ceil_div(cut.places > one ? cut.places : one, kTileDepth) * kTileDepth + biases;
    return cut;
  }
  const int64_t s = conv.stride;
  cut.border = conv.left > 0 ? conv.left : 0;
  cut.column = cut.border - conv.left;
  cut.width = counted_width(conv.in_width, conv.out_width, conv.kernel_width, s, conv.left);
  cut.row_size = cut.width * s * conv.in_channels;
  const int64_t most = clamp(kChunkBytes / (s * cut.row_size * kHalf), 1, conv.out_height);
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
  cut.behind = ((kPixels + conv.kernel_width) * s + cut.column) * conv.in_channels + kTileDepth;
  cut.places = places_of(most * cut.width + kPixels);
  const int64_t copy = s * (most + more_rows) * cut.row_size + cut.behind;
  cut.scratch = cut.places + ceil_div(copy, kTileDepth) * kTileDepth + biases;
  return cut;
}

/// The windows of neighbouring outputs: of the first one the rows, and bytes from one to the next.
struct Windows {
  const BFloat16* rows[kMaxDirectKernel];
  int64_t height, steps, step;
};

/// A product whose sums [kPixels][kChannels] wait to be finished.
struct Pending {
  const float* sums;
  const Place* at;  // of kPixels outputs
  int64_t channel, channels;
  int64_t done;  // outputs
};

/// Finishes `count` outputs more.
template <class Y, bool kSilu, bool kResidual>
YD_HOST_DEVICE void finish_some(const DirectConv& conv, Pending& pending, int64_t count) {
  const int64_t end = least(kPixels, pending.done + count);
  for (; pending.done < end; ++pending.done) {
    const Place at = pending.at[pending.done];
    if (at.y < 0) continue;
    const float* const sums = pending.sums + pending.done * kChannels;
    Y* const y = static_cast<Y*>(conv.y) + (at.y + pending.channel);
    const Y* residual = static_cast<const Y*>(conv.residual);
    if constexpr (kResidual) residual += at.residual + pending.channel;
    if (pending.channels == kChannels) {
      finish_channels<kSilu, kResidual>(sums, residual, kChannels, y);
    } else {
      finish_channels<kSilu, kResidual>(sums, residual, pending.channels, y);
    }
  }
}

/// sums = bias + windows of kPixels outputs from `pixel` on times a panel of which kColumns tiles
/// have channels. Meanwhile `before`, the product before, is finished: while tiles are multiplied
/// the vector units are free. fetches: brings the last rows of the windows behind into the L1
/// cache.
template <class Tiles, int kColumns, class Y, bool kSilu, bool kResidual>
[[gnu::noinline]] void multiply(Tiles& tiles, const Windows& windows, int64_t pixel,
                                const BFloat16* panel, const float* bias, float* sums,
                                const DirectConv& conv, Pending& before, bool fetches) {
  constexpr int64_t kStep = kTileDepth * sizeof(BFloat16);
  tiles.template load<0>(bias, 0);
  tiles.template load<2>(bias, 0);
  if constexpr (kColumns == 2) {
    tiles.template load<1>(bias + kTileColumns, 0);
    tiles.template load<3>(bias + kTileColumns, 0);
  }
  const int64_t share = ceil_div(kPixels, windows.height * windows.steps);
  for (int64_t p = 0; p < windows.height; ++p) {
    const std::byte* first =
        reinterpret_cast<const std::byte*>(windows.rows[p]) + pixel * windows.step;
    const std::byte* second = first + kTileRows * windows.step;
    for (int64_t k = 0; k < windows.steps; ++k) {
      tiles.template load<4>(first + k * kStep, windows.step);
      tiles.template load<6>(panel, kStep);
      tiles.template multiply<0, 4, 6>();
      if constexpr (kColumns == 2) {
        tiles.template load<7>(panel + kTileHalves, kStep);
        tiles.template multiply<1, 4, 7>();
      }
      tiles.template load<5>(second + k * kStep, windows.step);
      tiles.template multiply<2, 5, 6>();
      if constexpr (kColumns == 2) tiles.template multiply<3, 5, 7>();
      panel += 2 * kTileHalves;
      if (fetches && p + 1 == windows.height) {
        const std::byte* next = first + kPixels * windows.step + k * kStep;
        for (int i = 0; i < kPixels; ++i, next += windows.step) __builtin_prefetch(next, 0, 3);
      }
      finish_some<Y, kSilu, kResidual>(conv, before, share);
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

/// Rows [first, first + cut.rows) of a picture's outputs read these, with zeros around them.
void copy_chunk(const DirectConv& conv, const Cut& cut, int64_t picture, int64_t first,
                BFloat16* to) {
  const int64_t s = conv.stride, pixel = conv.in_channels;
  const int64_t length = least(conv.in_width, cut.width * s - cut.border) * pixel;
  const BFloat16* const x =
      static_cast<const BFloat16*>(conv.x) + picture * conv.in_height * conv.in_width * pixel;
  const auto zero = [](BFloat16* from, int64_t n) {
    __builtin_memset(static_cast<void*>(from), 0, size_t(n) * sizeof(BFloat16));
  };
  for (int64_t phase = 0; phase < s; ++phase) {
    for (int64_t i = 0; i < cut.in_rows; ++i, to += cut.row_size) {
      const int64_t row = (first + i) * s + phase - conv.top;
      if (row < 0 || row >= conv.in_height) {
        zero(to, cut.row_size);
        continue;
      }
      const int64_t front = cut.border * pixel;
      zero(to, front);
      __builtin_memcpy(static_cast<void*>(to + front), x + row * conv.in_width * pixel,
                       size_t(length) * sizeof(BFloat16));
      zero(to + front + length, cut.row_size - front - length);
    }
  }
  zero(to, cut.behind);
}

/// What one thread does.
template <class Tiles, class Y, bool kSilu, bool kResidual>
class Runner {
 public:
  Runner(const DirectConv& conv, const Cut& cut, BFloat16* scratch)
      : conv_(conv), cut_(cut), copy_(scratch + cut.places) {
    places_ = reinterpret_cast<Place*>(scratch);
    bias_ = reinterpret_cast<float*>(scratch + cut.scratch) - cut.panels * kChannels;
    for (int64_t c = 0; c < cut.panels * kChannels; ++c) {
      bias_[c] = conv.bias == nullptr || c >= conv.out_channels ? 0.0f : conv.bias[c];
    }
  }

  /// Chunk `chunk`, panels [first, last).
  void run(int64_t chunk, int64_t first, int64_t last) {
    cut_.is_copied ? run_copied(chunk, first, last) : run_in_place(chunk, first, last);
  }

 private:
  void run_in_place(int64_t chunk, int64_t first, int64_t last) {
    const int64_t outputs = conv_.batch * conv_.out_height * conv_.out_width;
    const int64_t rows = outputs / kPixels;
    const int64_t begin = rows * chunk / cut_.chunks * kPixels;
    const int64_t end =
        chunk + 1 == cut_.chunks ? outputs : rows * (chunk + 1) / cut_.chunks * kPixels;
    for (int64_t i = begin; i < end; ++i) {
      places_[i - begin] = {i * conv_.pixel_step, i * conv_.out_channels};
    }
    const int64_t pixel = conv_.in_channels;
    const Windows windows{.rows = {static_cast<const BFloat16*>(conv_.x) + begin * pixel},
                          .height = 1,
                          .steps = cut_.steps,
                          .step = pixel * int64_t(sizeof(BFloat16))};
    multiply_all(windows, end - begin, first, last);
  }

  void run_copied(int64_t chunk, int64_t first, int64_t last) {
    const int64_t picture = chunk / cut_.chunks_of_picture;
    const int64_t begin = chunk % cut_.chunks_of_picture * cut_.rows;
    const int64_t rows = least(cut_.rows, conv_.out_height - begin);
    if (chunk != copied_) copy_chunk(conv_, cut_, picture, begin, copy_);
    copied_ = chunk;
    const int64_t s = conv_.stride;
    Windows windows{.rows = {},
                    .height = conv_.kernel_height,
                    .steps = cut_.steps,
                    .step = s * conv_.in_channels * int64_t(sizeof(BFloat16))};
    for (int64_t p = 0; p < conv_.kernel_height; ++p) {
      windows.rows[p] =
          copy_ + (p % s * cut_.in_rows + p / s) * cut_.row_size + cut_.column * conv_.in_channels;
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
    multiply_all(windows, rows * cut_.width - (cut_.width - conv_.out_width), first, last);
  }

  void multiply_all(const Windows& windows, int64_t outputs, int64_t first, int64_t last) {
    Pending pending{.sums = sums_[1], .at = places_, .channel = 0, .channels = 0, .done = kPixels};
    int64_t turn = 0;
    const auto product = [&](int64_t panel, int64_t next, bool fetches) {
      const int64_t channel = panel * kChannels;
      const int64_t channels = least(kChannels, conv_.out_channels - channel);
      const BFloat16* const weights = reinterpret_cast<const BFloat16*>(conv_.weights) +
                                      panel * conv_.kernel_height * cut_.steps * 2 * kTileHalves;
      // In place the last product does some outputs again rather than read on behind the picture.
      const int64_t pixel = cut_.is_copied ? next : least(next, outputs - kPixels);
      float* const sums = sums_[turn];
      const auto run = channels > kTileColumns ? multiply<Tiles, 2, Y, kSilu, kResidual>
                                               : multiply<Tiles, 1, Y, kSilu, kResidual>;
      run(tiles_, windows, pixel, weights, bias_ + channel, sums, conv_, pending, fetches);
      pending = {sums, places_ + pixel, channel, channels, 0};
      turn = 1 - turn;
    };
    const int64_t weights = (last - first) * conv_.kernel_height * cut_.steps * 2 * kTileHalves;
    if (weights * int64_t(sizeof(BFloat16)) <= kCachedWeights) {
      for (int64_t next = 0; next < outputs; next += kPixels) {
        for (int64_t panel = first; panel < last; ++panel) product(panel, next, panel == first);
      }
    } else {
      for (int64_t panel = first; panel < last; ++panel) {
        for (int64_t next = 0; next < outputs; next += kPixels) product(panel, next, false);
      }
    }
    finish_some<Y, kSilu, kResidual>(conv_, pending, kPixels);
  }

  const DirectConv& conv_;
  const Cut& cut_;
  Place* places_;
  float* bias_;
  BFloat16* const copy_;
  int64_t copied_ = -1;
  Tiles tiles_;
  alignas(64) float sums_[2][kPixels * kChannels];
};

template <class Tiles, class Y, bool kSilu, bool kResidual>
void run_as(const DirectConv& conv, int64_t threads, float* scratch) {
  const Cut cut = cut_up(conv, threads);
  const int64_t tasks = cut.chunks * cut.parts;
  parallel_for(threads, 1, [&](int64_t thread) {
    BFloat16* const own = reinterpret_cast<BFloat16*>(scratch) + thread * cut.scratch;
    Runner<Tiles, Y, kSilu, kResidual> runner(conv, cut, own);
    for (int64_t i = tasks * thread / threads; i < tasks * (thread + 1) / threads; ++i) {
      const int64_t part = i / cut.chunks;
      runner.run(i % cut.chunks, cut.panels * part / cut.parts,
                 cut.panels * (part + 1) / cut.parts);
    }
  });
}

template <class Tiles>
void run_with(const DirectConv& conv, int64_t threads, float* scratch) {
  // Logits and what else is wanted in float32 comes without SiLU.
  if (conv.y_dtype == DType::kFloat32) {
    return run_as<Tiles, float, false, false>(conv, threads, scratch);
  }
  if (conv.residual != nullptr) {
    conv.silu ? run_as<Tiles, BFloat16, true, true>(conv, threads, scratch)
              : run_as<Tiles, BFloat16, false, true>(conv, threads, scratch);
  } else {
    conv.silu ? run_as<Tiles, BFloat16, true, false>(conv, threads, scratch)
              : run_as<Tiles, BFloat16, false, false>(conv, threads, scratch);
  }
}

void run(const DirectConv& conv, int64_t threads, float* scratch) {
#if defined(YD_HAVE_AMX_TILES)
  run_with<AmxTiles>(conv, threads, scratch);
#else
  run_with<PlainTiles>(conv, threads, scratch);
#endif
}

int64_t packed_size(const DirectConv& conv) {
  const Cut cut = cut_up(conv, 1);
  return cut.panels * conv.kernel_height * cut.steps * kTileHalves;  // two tiles' halves
}

int64_t scratch_size(const DirectConv& conv, int64_t threads) {
  return ceil_div(threads * cut_up(conv, threads).scratch, 2);
}

/// One tile of weights, [16 pairs of inputs][16 outputs][2], of inputs [first, first + 32) of a
/// window's row and `outs` outputs.
void pack_tile(const DirectConv& conv, const WeightView& weights, const float* from, int64_t first,
               int64_t outs, BFloat16* to) {
  const int64_t inputs = least(kTileDepth, conv.kernel_width * conv.in_channels - first);
  const auto at = [&](int64_t e) {
    return (first + e) / conv.in_channels * weights.column +
           (first + e) % conv.in_channels * weights.in;
  };
  if constexpr (kLanes == kTileColumns) {
    const bool is_whole = inputs == kTileDepth && outs == kTileColumns;
    if (is_whole && weights.out == 1) {
      for (int64_t e = 0; e < kTileDepth; e += 2, to += kTileDepth) {
        BFloat16 pair[2][kTileColumns];
        store(load(from + at(e)), pair[0]);
        store(load(from + at(e + 1)), pair[1]);
        store(Vector(load_bits(pair[0]) | load_bits(pair[1]) << 16), reinterpret_cast<float*>(to));
      }
      return;
    }
    if (is_whole && weights.in == 1 && at(kTileDepth - 1) == at(0) + kTileDepth - 1) {
      Vector square[kLanes];
      for (int64_t o = 0; o < kTileColumns; ++o) {
        const float* const row = from + at(0) + o * weights.out;
        BFloat16 pairs[kTileDepth];
        store(load(row), pairs);
        store(load(row + kLanes), pairs + kLanes);
        __builtin_memcpy(&square[o], pairs, sizeof(pairs));
      }
      transpose(square);
      for (int64_t k = 0; k < kLanes; ++k) {
        store(square[k], reinterpret_cast<float*>(to) + k * kTileColumns);
      }
      return;
    }
  }
  for (int64_t e = 0; e < kTileDepth; ++e) {
    BFloat16* const pair = to + e / 2 * kTileDepth + e % 2;
    for (int64_t o = 0; o < kTileColumns; ++o) {
      const bool is_weight = e < inputs && o < outs;
      pair[2 * o] = BFloat16(is_weight ? from[at(e) + o * weights.out] : 0.0f);
    }
  }
}

void pack(const DirectConv& conv, const WeightView& weights, float* to) {
  const Cut cut = cut_up(conv, 1);
  parallel_for(cut.panels * conv.kernel_height, 1, [&](int64_t i) {
    const int64_t panel = i / conv.kernel_height, p = i % conv.kernel_height;
    BFloat16* out = reinterpret_cast<BFloat16*>(to) + i * cut.steps * 2 * kTileHalves;
    for (int64_t k = 0; k < cut.steps; ++k) {
      for (int64_t tile = 0; tile < 2; ++tile, out += kTileHalves) {
        const int64_t o = panel * kChannels + tile * kTileColumns;
        pack_tile(conv, weights, weights.base + o * weights.out + p * weights.row, k * kTileDepth,
                  least(kTileColumns, conv.out_channels - o), out);
      }
    }
  });
}

}  // namespace

const AmxConvKernels& amx_conv_kernels() {
  static const AmxConvKernels kernels{packed_size, pack, scratch_size, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL

YD_END_AVX512_BF16;
