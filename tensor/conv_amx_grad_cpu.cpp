// SPDX-License-Identifier: MIT
//   grad_weight[o,p,q,c] += sum over n,i,j of grad_y[n,i,j,o] x[n, i s + p - pad, j s + q - pad, c]
//
// as products of tiles: 16 output channels by 32 outputs times 16 pairs of outputs by 16 input
// channels.
#include <ydistill/tensor/amx_tiles.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlock = kTileColumns;        // channels
constexpr int64_t kPanelChannels = 2 * kBlock;  // of a product, on each side
constexpr int64_t kChunkBytes = 1024 * 1024;    // packed; fits into an L2 cache
constexpr int64_t kChunkOutputs = 1024;         // at most, unless one row has more
constexpr int64_t kGroupFloats = 256 * 1024, kMaxGroups = 16;
constexpr int64_t kPairHalves = 2 * kBlock;  // of a pair of pixels in a block

/// Where a tap reads: which copy of x, and which of its pairs belongs to the first outputs.
struct Tap {
  int64_t copy, pair;
};

YD_HOST_DEVICE int64_t phases_of(const AmxGradTask& t) {
  return least(t.stride, t.kernel);
}
YD_HOST_DEVICE Tap tap_at(const AmxGradTask& t, int64_t p, int64_t q) {
  const int64_t offset = p / t.stride * t.width + q / t.stride, phases = phases_of(t);
  return {(p % t.stride * phases + q % t.stride) * 2 + offset % 2, offset / 2};
}
/// Pixels of a copy that the outputs read, from the first tap of the first output on.
YD_HOST_DEVICE int64_t pixels_of(const AmxGradTask& t) {
  const int64_t last = (t.kernel - 1) / t.stride;
  return t.steps * kTileDepth + last * t.width + last;
}

YD_HOST_DEVICE int64_t blocks_of(int64_t channels) {
  return ceil_div(channels, kBlock);
}
/// Numbers (of 2 bytes) in a chunk's packed x and packed grad_y, for `channels` channels.
YD_HOST_DEVICE int64_t in_halves(const AmxGradTask& t, int64_t channels) {
  return blocks_of(channels) * t.copies * t.chunk_pictures * t.pairs * kPairHalves;
}
YD_HOST_DEVICE int64_t out_halves(const AmxGradTask& t, int64_t channels) {
  return blocks_of(channels) * t.chunk_pictures * t.steps * kTileHalves;
}

/// Sets the chunk and every field that depends on it.
void set_chunk(AmxGradTask& t, int64_t pictures, int64_t rows) {
  t.chunk_pictures = pictures;
  t.chunk_rows = rows;
  t.steps = ceil_div(rows * t.width - (t.width - t.out_width), kTileDepth);
  t.pairs = ceil_div(pixels_of(t), 2) + 1;
}

int64_t packed_halves(const AmxGradTask& t) {
  return in_halves(t, least(t.in_tile, t.in_channels)) +
         out_halves(t, least(t.out_tile, t.out_channels));
}
/// In floats: the packed numbers, and the pointers to the pixels of a copy.
constexpr int64_t kLineFloats = 64 / sizeof(float);
constexpr int64_t kPointerFloats = sizeof(void*) / sizeof(float);
constexpr int64_t kMostScratch = kChunkBytes / int64_t(sizeof(float)) + 16 * 1024 * kPointerFloats;
int64_t scratch_of(const AmxGradTask& t) {
  const int64_t floats = packed_halves(t) / 2 + (2 * t.pairs + 1) * kPointerFloats;
  return ceil_div(floats, kLineFloats) * kLineFloats;  // aligns the next thread's tiles
}

/// The outputs of a 1x1 convolution form one row, which may be cut anywhere.
void flatten(AmxGradTask& t) {
  t.in_pixels = t.out_pixels = t.batch * t.out_height * t.out_width;
  t.batch = 1;
  t.in_width = t.out_width = least(t.out_pixels, kChunkOutputs / 2);
  t.in_height = t.out_height = ceil_div(t.out_pixels, t.out_width);
}

void halve(int64_t& channels) {
  channels = ceil_div(channels / 2, kPanelChannels) * kPanelChannels;
}

AmxGradTask plan(const AmxGradTask& sizes, int64_t threads) {
  AmxGradTask t = sizes;
  t.in_pixels = t.in_height * t.in_width;
  t.out_pixels = t.out_height * t.out_width;
  if (t.kernel == 1 && t.stride == 1 && t.padding == 0) flatten(t);
  t.width = counted_width(t.in_width, t.out_width, t.kernel, t.stride, t.padding);
  t.copies = t.kernel == 1 ? 1 : 2 * phases_of(t) * phases_of(t);  // a single tap is even
  t.in_tile = ceil_div(t.in_channels, kPanelChannels) * kPanelChannels;
  t.out_tile = ceil_div(t.out_channels, kPanelChannels) * kPanelChannels;
  const auto is_cached = [&] {
    return packed_halves(t) * int64_t(sizeof(BFloat16)) <= kChunkBytes;
  };
  const auto fits = [&] {
    return is_cached() && t.chunk_pictures * t.steps * kTileDepth <= kChunkOutputs;
  };
  const auto is_divisible = [&] { return t.in_tile + t.out_tile > 2 * kPanelChannels; };
  // The whole batch in one chunk, the largest there is. Its memory is requested (up to
  // kMostScratch), so that a larger batch never needs less.
  AmxGradTask whole = t;
  set_chunk(whole, t.batch, t.out_height);
  // As many rows of a picture as fit, or several whole pictures.
  set_chunk(t, 1, t.out_height);
  for (int64_t n = 2; t.chunk_rows > 1 && !fits(); ++n) {
    set_chunk(t, 1, ceil_div(t.out_height, n));
  }
  while (!is_cached() && is_divisible()) halve(t.in_tile > t.out_tile ? t.in_tile : t.out_tile);
  while (t.chunk_rows == t.out_height && t.chunk_pictures < t.batch && fits()) {
    set_chunk(t, t.chunk_pictures + 1, t.out_height);
  }
  if (t.chunk_pictures > 1 && !fits()) set_chunk(t, t.chunk_pictures - 1, t.out_height);
  t.chunks = ceil_div(t.batch, t.chunk_pictures) * ceil_div(t.out_height, t.chunk_rows);

  const int64_t weights = t.out_channels * t.kernel * t.kernel * t.in_channels;
  t.groups = 1;
  while (2 * t.groups <= least(least(kMaxGroups, t.chunks), kGroupFloats / weights)) t.groups *= 2;
  // Too few units for the threads: divide the channels among them as well.
  while (t.num_units() < threads && is_divisible()) {
    halve(t.in_tile > t.out_tile ? t.in_tile : t.out_tile);
  }
  const int64_t needed = scratch_of(t), most = least(scratch_of(whole), kMostScratch);
  t.scratch = needed > most ? needed : most;
  return t;
}

/// kLanes channels of a pixel, as bits; zeros for null. The last block may have fewer channels.
YD_HOST_DEVICE Bits load_block(const BFloat16* from, int64_t channels) {
  if (from == nullptr) return Bits{};
  if (channels >= kLanes) return load_bits(from);
#if defined(__AVX512F__) && defined(__AVX512BW__) && defined(__AVX512VL__)
  return Bits(_mm512_maskz_cvtepu16_epi32(
      0xffff, _mm256_maskz_loadu_epi16(__mmask16((1u << channels) - 1), from)));
#else
  BFloat16 first[kLanes] = {};
  for (int64_t c = 0; c < channels; ++c) first[c] = from[c];
  return load_bits(first);
#endif
}

/// 16 channels of two pixels, alternating; zeros for a null pixel.
YD_HOST_DEVICE void store_pairs(const BFloat16* first, const BFloat16* second, int64_t channels,
                                BFloat16* to) {
  for (int64_t c = 0; c < kBlock; c += kLanes) {
    const int64_t rest = channels - c;
    const Bits low = load_block(rest > 0 && first != nullptr ? first + c : nullptr, rest);
    const Bits high = load_block(rest > 0 && second != nullptr ? second + c : nullptr, rest);
    store(Vector(low | high << 16), reinterpret_cast<float*>(to) + c);
  }
}

struct Chunk {
  int64_t picture, row, pictures, rows;
};

/// Channels [first, last) of the chunk's x, [block][copy][picture][pair][16][2].
void pack_x(const AmxGradTask& t, const Chunk& chunk, const BFloat16* x, int64_t first,
            int64_t last, const BFloat16** places, BFloat16* to) {
  const int64_t phases = phases_of(t), picture_size = t.pairs * kPairHalves;
  const int64_t block_step = t.copies * t.chunk_pictures * picture_size;
  const int64_t pixels = 2 * t.pairs + 1;
  for (int64_t phase = 0; phase < phases * phases; ++phase) {
    const int64_t down = phase / phases, right = phase % phases;
    bool wants[2] = {};
    for (int64_t p = down; p < t.kernel; p += t.stride) {
      for (int64_t q = right; q < t.kernel; q += t.stride) wants[tap_at(t, p, q).copy % 2] = true;
    }
    for (int64_t n = 0; n < chunk.pictures; ++n) {
      const BFloat16* const picture = x + (chunk.picture + n) * t.in_pixels * t.in_channels + first;
      int64_t row = chunk.row * t.stride + down - t.padding, column = right - t.padding;
      int64_t counted = 0;
      for (int64_t i = 0; i < pixels; ++i) {
        const bool is_inside = row >= 0 && row < t.in_height && column >= 0 &&
                               column < t.in_width && row * t.in_width + column < t.in_pixels;
        places[i] = is_inside ? picture + (row * t.in_width + column) * t.in_channels : nullptr;
        column += t.stride;
        if (++counted == t.width) {
          counted = 0;
          column = right - t.padding;
          row += t.stride;
        }
      }
      for (int64_t odd = 0; odd < 2; ++odd) {
        if (!wants[odd]) continue;
        BFloat16* put = to + ((phase * 2 + odd) * t.chunk_pictures + n) * picture_size;
        for (int64_t i = 0; i < t.pairs; ++i, put += kPairHalves) {
          const BFloat16 *a = places[2 * i + odd], *b = places[2 * i + odd + 1];
          BFloat16* block = put;
          for (int64_t c = first; c < last; c += kBlock, block += block_step) {
            store_pairs(a, b, last - c, block);
            if (a != nullptr) a += kBlock;
            if (b != nullptr) b += kBlock;
          }
        }
      }
    }
  }
}

/// Channels [first, last) of the chunk's grad_y, [block][picture][step][16][32 outputs].
void pack_grad(const AmxGradTask& t, const Chunk& chunk, const BFloat16* grad_y, int64_t first,
               int64_t last, BFloat16* to) {
  const int64_t block_step = t.chunk_pictures * t.steps * kTileHalves;
  const int64_t begin = chunk.row * t.out_width;
  for (int64_t n = 0; n < chunk.pictures; ++n) {
    const BFloat16* const picture =
        grad_y + ((chunk.picture + n) * t.out_pixels + begin) * t.out_channels + first;
    int64_t row = 0, column = 0;
    for (int64_t step = 0; step < t.steps; ++step) {
      const BFloat16* places[kTileDepth];
      for (int64_t i = 0; i < kTileDepth; ++i) {
        const bool is_inside = row < chunk.rows && column < t.out_width &&
                               begin + row * t.out_width + column < t.out_pixels;
        places[i] = is_inside ? picture + (row * t.out_width + column) * t.out_channels : nullptr;
        if (++column == t.width) {
          column = 0;
          ++row;
        }
      }
      BFloat16* put = to + (n * t.steps + step) * kTileHalves;
      for (int64_t c = first; c < last; c += kBlock, put += block_step) {
        alignas(64) float pairs[kTileRows][kBlock];
        for (int64_t i = 0; i < kTileRows; ++i) {
          store_pairs(places[2 * i], places[2 * i + 1], last - c,
                      reinterpret_cast<BFloat16*>(pairs[i]));
        }
        for (const BFloat16*& place : places) {
          if (place != nullptr) place += kBlock;
        }
        // Transposes squares of kLanes x kLanes pairs.
        for (int64_t i = 0; i < kTileRows; i += kLanes) {
          for (int64_t o = 0; o < kBlock; o += kLanes) {
            Vector square[kLanes];
            for (int k = 0; k < kLanes; ++k) square[k] = load(pairs[i + k] + o);
            transpose(square);
            for (int k = 0; k < kLanes; ++k) {
              store(square[k], reinterpret_cast<float*>(put) + (o + k) * kTileRows + i);
            }
          }
        }
      }
    }
  }
}

/// The operands of the product of two panels, for one tap.
struct Factors {
  const BFloat16 *grads, *pixels;
  int64_t grad_block, pixel_block;  // from block to block
  int64_t grad_picture, pixel_picture;
  int64_t pictures, steps;
};

template <class Tiles, int kRows, int kColumns>
[[gnu::noinline]] void multiply(Tiles& tiles, const Factors& f, float* out, int64_t step,
                                bool adds) {
  const int64_t row_bytes = step * int64_t(sizeof(float));
  constexpr int64_t kRowBytes = 64;
  alignas(64) static constexpr float kZeros[kBlock] = {};
  float* const lower = out + kTileRows * step;
  const float* const begin = adds ? out : kZeros;
  const float* const lower_begin = adds ? lower : kZeros;
  const int64_t begin_step = adds ? row_bytes : 0, right = adds ? kBlock : 0;
  tiles.template load<0>(begin, begin_step);
  if constexpr (kColumns == 2) tiles.template load<1>(begin + right, begin_step);
  if constexpr (kRows == 2) tiles.template load<2>(lower_begin, begin_step);
  if constexpr (kRows == 2 && kColumns == 2) {
    tiles.template load<3>(lower_begin + right, begin_step);
  }
  for (int64_t n = 0; n < f.pictures; ++n) {
    const BFloat16* grads = f.grads + n * f.grad_picture;
    const BFloat16* pixels = f.pixels + n * f.pixel_picture;
    for (int64_t k = 0; k < f.steps; ++k) {
      tiles.template load<4>(grads, kRowBytes);
      tiles.template load<6>(pixels, kRowBytes);
      tiles.template multiply<0, 4, 6>();
      if constexpr (kColumns == 2) {
        tiles.template load<7>(pixels + f.pixel_block, kRowBytes);
        tiles.template multiply<1, 4, 7>();
      }
      if constexpr (kRows == 2) {
        tiles.template load<5>(grads + f.grad_block, kRowBytes);
        tiles.template multiply<2, 5, 6>();
        if constexpr (kColumns == 2) tiles.template multiply<3, 5, 7>();
      }
      grads += kTileHalves;
      pixels += kTileHalves;
    }
  }
  tiles.template store<0>(out, row_bytes);
  if constexpr (kColumns == 2) tiles.template store<1>(out + kBlock, row_bytes);
  if constexpr (kRows == 2) tiles.template store<2>(lower, row_bytes);
  if constexpr (kRows == 2 && kColumns == 2) tiles.template store<3>(lower + kBlock, row_bytes);
}

/// bias[c] += or = the sum of grad_y over the chunk, for channels [first, last).
void add_bias(const AmxGradTask& t, const Chunk& chunk, const BFloat16* grad_y, int64_t first,
              int64_t last, bool adds, float* bias) {
  for (int64_t c = first; c < last; c += kLanes) {
    const int64_t count = least(kLanes, last - c);
    float sums[kLanes] = {};
    for (int64_t n = 0; n < chunk.pictures; ++n) {
      const int64_t begin = chunk.row * t.out_width;
      const int64_t end = least(t.out_pixels, begin + chunk.rows * t.out_width);
      const BFloat16* from =
          grad_y + ((chunk.picture + n) * t.out_pixels + begin) * t.out_channels + c;
      for (int64_t i = begin; i < end; ++i, from += t.out_channels) {
        for (int64_t k = 0; k < count; ++k) sums[k] += float(from[k]);
      }
    }
    for (int64_t k = 0; k < count; ++k) bias[c + k] = adds ? bias[c + k] + sums[k] : sums[k];
  }
}

template <class Tiles>
void run_chunk(const AmxGradTask& t, Tiles& tiles, const Chunk& chunk, const BFloat16* packed_x,
               const BFloat16* packed_grad, int64_t in, int64_t ins, int64_t out, int64_t outs,
               bool adds, float* weight) {
  const int64_t taps = t.kernel * t.kernel, row = taps * t.in_channels;
  const Factors base{.grads = packed_grad,
                     .pixels = packed_x,
                     .grad_block = t.chunk_pictures * t.steps * kTileHalves,
                     .pixel_block = t.copies * t.chunk_pictures * t.pairs * kPairHalves,
                     .grad_picture = t.steps * kTileHalves,
                     .pixel_picture = t.pairs * kPairHalves,
                     .pictures = chunk.pictures,
                     .steps = t.steps};
  for (int64_t o = 0; o < outs; o += kPanelChannels) {
    for (int64_t c = 0; c < ins; c += kPanelChannels) {
      const int64_t rows = least(kPanelChannels, outs - o),
                    columns = least(kPanelChannels, ins - c);
      for (int64_t p = 0; p < t.kernel; ++p) {
        for (int64_t q = 0; q < t.kernel; ++q) {
          const Tap tap = tap_at(t, p, q);
          Factors f = base;
          f.grads += o / kBlock * f.grad_block;
          f.pixels += c / kBlock * f.pixel_block + tap.copy * t.chunk_pictures * f.pixel_picture +
                      tap.pair * kPairHalves;
          float* const to = weight + (out + o) * row + (p * t.kernel + q) * t.in_channels + in + c;
          const auto run = rows > kBlock
                               ? (columns > kBlock ? multiply<Tiles, 2, 2> : multiply<Tiles, 2, 1>)
                               : (columns > kBlock ? multiply<Tiles, 1, 2> : multiply<Tiles, 1, 1>);
          if (rows % kBlock == 0 && columns % kBlock == 0) {
            run(tiles, f, to, row, adds);
            continue;
          }
          // The last tiles are only partly weights: compute them elsewhere, then copy that part.
          alignas(64) float sums[kPanelChannels * kPanelChannels];
          run(tiles, f, sums, kPanelChannels, false);
          for (int64_t i = 0; i < rows; ++i) {
            for (int64_t k = 0; k < columns; ++k) {
              float& sum = to[i * row + k];
              sum = (adds ? sum : 0.0f) + sums[i * kPanelChannels + k];
            }
          }
        }
      }
    }
  }
}

template <class Tiles>
void run_units_with(const AmxGradTask& t, const BFloat16* x, const BFloat16* grad_y, int64_t first,
                    int64_t last, float* scratch, float* grad_weight, float* grad_bias,
                    int64_t group_step) {
  const int64_t in_tiles = t.num_in_tiles(), out_tiles = t.num_out_tiles();
  BFloat16* const packed_grad = reinterpret_cast<BFloat16*>(scratch);
  BFloat16* const packed_x = packed_grad + out_halves(t, least(t.out_tile, t.out_channels));
  const BFloat16** const places =
      reinterpret_cast<const BFloat16**>(packed_grad + packed_halves(t));
  Tiles tiles;
  for (int64_t unit = first; unit < last; ++unit) {
    const int64_t group = unit / (in_tiles * out_tiles);
    const int64_t in = unit / out_tiles % in_tiles * t.in_tile, out = unit % out_tiles * t.out_tile;
    const int64_t ins = least(t.in_tile, t.in_channels - in);
    const int64_t outs = least(t.out_tile, t.out_channels - out);
    float* const weight = grad_weight + group * group_step;
    const int64_t down = ceil_div(t.out_height, t.chunk_rows);
    const int64_t begin = t.chunks * group / t.groups, end = t.chunks * (group + 1) / t.groups;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t picture = i / down * t.chunk_pictures, row = i % down * t.chunk_rows;
      const Chunk chunk{picture, row, least(t.chunk_pictures, t.batch - picture),
                        least(t.chunk_rows, t.out_height - row)};
      const bool adds = t.groups == 1 || i > begin;
      pack_grad(t, chunk, grad_y, out, out + outs, packed_grad);
      pack_x(t, chunk, x, in, in + ins, places, packed_x);
      run_chunk(t, tiles, chunk, packed_x, packed_grad, in, ins, out, outs, adds, weight);
      if (grad_bias != nullptr && in == 0) {
        add_bias(t, chunk, grad_y, out, out + outs, adds, grad_bias + group * group_step);
      }
    }
  }
}

void run_units(const AmxGradTask& task, const BFloat16* x, const BFloat16* grad_y, int64_t first,
               int64_t last, float* scratch, float* grad_weight, float* grad_bias,
               int64_t group_step) {
#if defined(YD_HAVE_AMX_TILES)
  run_units_with<AmxTiles>(task, x, grad_y, first, last, scratch, grad_weight, grad_bias,
                           group_step);
#else
  run_units_with<PlainTiles>(task, x, grad_y, first, last, scratch, grad_weight, grad_bias,
                             group_step);
#endif
}

}  // namespace

const AmxGradKernels& amx_grad_kernels() {
  static const AmxGradKernels kernels{plan, run_units};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
