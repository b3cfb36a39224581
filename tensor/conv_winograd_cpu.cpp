// SPDX-License-Identifier: MIT
// Tiles of inputs are transformed, multiplied by the transformed weights (each number of a tile by
// a weight of its own), and transformed to outputs. winograd_axes.h has the transforms.
#include <ydistill/tensor/conv_winograd_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>
#include <ydistill/tensor/winograd_axes.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
constexpr int kLineOf = 64 / sizeof(T);  // numbers of a cache line
constexpr int kLineFloats = kLineOf<float>;
// Approximate size of a block's transformed inputs: they stay in the L2 cache.
constexpr int64_t kBlockFloats = 1 << 16;
// Minimum number of tiles in a block (unless there are fewer): they share each weight that is read.
// Half as many if several numbers of a tile share a weight and the block then fits kMaxFloats.
constexpr int64_t kMinBlock = 24, kMaxFloats = 1 << 17;

template <class Axis>
constexpr int kProductsOf = Axis::kProducts* Axis::kProducts;
template <class Axis>
constexpr int kWeightsOf = Axis::kWeights* Axis::kWeights;
template <class Axis>
constexpr int kSumsOf = Axis::kSums* Axis::kSums;

/// Which of a tile's numbers is multiplied by which weight, and where the product goes.
struct Product {
  int input, weight, sum;
  bool begins;  // it is the first of its sum
};

/// All products, ordered by weight.
template <class Axis>
struct Products {
  Product of[kProductsOf<Axis>];

  constexpr Products() : of() {
    bool begun[kSumsOf<Axis>] = {};
    int n = 0;
    for (int weight = 0; weight < kWeightsOf<Axis>; ++weight) {
      for (int i = 0; i < kProductsOf<Axis>; ++i) {
        const int row = i / Axis::kProducts, column = i % Axis::kProducts;
        if (Axis::weight_of(row) * Axis::kWeights + Axis::weight_of(column) != weight) continue;
        const int sum = Axis::sum_of(row) * Axis::kSums + Axis::sum_of(column);
        of[n++] = {i, weight, sum, !begun[sum]};
        begun[sum] = true;
      }
    }
  }
};

/// Computes the outputs of one tile in channels [first, first + channels) from their sums: rows of
/// kPanel numbers, sum_step apart.
template <class Axis, class T, bool kSilu, bool kResidual>
YD_HOST_DEVICE void scatter_tile(const WinogradConv& conv, const Place& place, const float* sums,
                                 int64_t sum_step, int64_t first, int64_t channels) {
  constexpr int kSums = Axis::kSums, kOut = Axis::kOutputs;
  T* const y = static_cast<T*>(conv.y);
  const T* const residual = static_cast<const T*>(conv.residual);
  const int64_t rows = least(kOut, conv.out_height - place.row);
  const int64_t columns = least(kOut, conv.out_width - place.column);
  for (int64_t c = 0; c < channels; c += kLanes) {
    Vector half[kOut * kSums];
    for (int j = 0; j < kSums; ++j) {
      Vector column[kSums];
      for (int i = 0; i < kSums; ++i) column[i] = load(sums + (i * kSums + j) * sum_step + c);
      Axis::transform_sums(column, 1, half + j, kSums);
    }
    const Vector bias = conv.bias != nullptr ? load(conv.bias + first + c) : Vector{};
    for (int64_t i = 0; i < rows; ++i) {
      Vector row[kOut];
      Axis::transform_sums(half + i * kSums, 1, row, 1);
      const int64_t pixel =
          (place.picture * conv.out_height + place.row + i) * conv.out_width + place.column;
      const int64_t at = pixel * conv.out_channels + first + c;
      for (int64_t j = 0; j < columns; ++j) {
        finish<kSilu, kResidual>(row[j] + bias, WholePack{at + j * conv.out_channels}, residual, y);
      }
    }
  }
}

/// Prefetch the next operands of multiply() during the current product: at each step k another part
/// of kRows rows, and (FetchBoth) of a panel.
struct FetchRows {
  const float* rows;
  YD_HOST_DEVICE void operator()(int64_t k) const { __builtin_prefetch(rows + k * kRows); }
};
struct FetchBoth {
  const float *rows, *panel;
  YD_HOST_DEVICE void operator()(int64_t k) const {
    for (int i = 0; i < kPanel; i += kLineFloats) __builtin_prefetch(panel + k * kPanel + i);
    __builtin_prefetch(rows + k * kRows);
  }
};

/// Products of `groups` groups of kCount rows each with a panel; the sums start from zero (kBegins)
/// or are added to. From one group to the next, rows are rows_step apart, sums sums_step.
template <int kCount, bool kBegins>
[[gnu::noinline]] void multiply(int64_t groups, const float* rows, int64_t rows_step, int64_t depth,
                                const float* panel, float* sums, int64_t sums_step,
                                const FetchBoth& next) {
  for (int64_t g = 0; g < groups; ++g, rows += rows_step, sums += sums_step) {
    const float* row[kCount];
    Vector sum[kCount][kVectors];
    // Unrolled explicitly: otherwise the compiler clears and copies the sums in memory.
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      row[i] = rows + i * depth;
      for (int v = 0; v < kVectors; ++v) {
        sum[i][v] = kBegins ? Vector{} : load(sums + i * kPanel + v * kLanes);
      }
    }
    if (g + 1 < groups) {
      add_products(row, 0, depth, panel, sum, FetchRows{rows + rows_step});
    } else {
      add_products(row, 0, depth, panel, sum, next);
    }
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      for (int v = 0; v < kVectors; ++v) store(sum[i][v], sums + i * kPanel + v * kLanes);
    }
  }
}

/// The last group, of fewer than kRows rows; count may be 0.
template <bool kBegins, int kCount = kRows - 1>
YD_HOST_DEVICE void multiply_rest(int64_t count, const float* rows, int64_t depth,
                                  const float* panel, float* sums, const FetchBoth& next) {
  if constexpr (kCount > 0) {
    if (count == kCount) {
      return multiply<kCount, kBegins>(1, rows, 0, depth, panel, sums, 0, next);
    }
    multiply_rest<kBegins, kCount - 1>(count, rows, depth, panel, sums, next);
  }
}

/// Products of n rows with a panel.
template <bool kBegins>
YD_HOST_DEVICE void multiply_all(int64_t n, const float* rows, int64_t rows_step, int64_t depth,
                                 const float* panel, float* sums, int64_t sums_step,
                                 const FetchBoth& next) {
  const int64_t groups = n / kRows;
  multiply<kRows, kBegins>(groups, rows, rows_step, depth, panel, sums, sums_step, next);
  multiply_rest<kBegins>(n % kRows, rows + groups * rows_step, depth, panel,
                         sums + groups * sums_step, next);
}

template <class T>
Picture<T> input_of(const WinogradConv& conv) {
  return {static_cast<const T*>(conv.x), conv.batch, conv.in_height, conv.in_width,
          conv.in_channels};
}
template <class Axis>
Tiling tiling_of(const WinogradConv& conv) {
  return {Axis::kOutputs, conv.batch, conv.out_height, conv.out_width};
}

/// most: the largest number of tiles in a block; blocks: their number; parts: of the output
/// channels; threads: they share the blocks x parts units evenly.
struct Division {
  int64_t most, blocks, parts, threads;
};

template <class Axis>
Division division_of(const WinogradConv& conv, int64_t threads) {
  const int64_t tiles = tiles_of(tiling_of<Axis>(conv));
  const int64_t floats = kProductsOf<Axis> * conv.in_channels;  // of a tile
  const int64_t wanted = kBlockFloats / floats;
  const bool shares = Axis::kWeights < Axis::kProducts;
  const int64_t smallest =
      shares && kMinBlock / 2 * floats <= kMaxFloats ? kMinBlock / 2 : kMinBlock;
  const int64_t whole = ceil_div(wanted < smallest ? smallest : wanted, kRows) * kRows;
  const int64_t most = least(whole, tiles);
  const int64_t needed = ceil_div(tiles, most);
  if (needed < threads) {
    // Divide the channels instead of making smaller blocks, which would all read all weights.
    const int64_t parts = least(ceil_div(conv.out_channels, kPanel), ceil_div(threads, needed));
    return {most, needed, parts, least(threads, needed * parts)};
  }
  const int64_t blocks = least(ceil_div(needed, threads) * threads, tiles);
  return {most, blocks, 1, threads};
}

/// Where a block's numbers are stored in the scratch memory, in floats. Tiles form groups of kRows:
///   inputs [groups][products][kRows][in_channels], sums [groups][sums][kRows][kPanel]
template <class Axis>
struct Layout {
  int64_t input_step, inputs, sums;  // of one product, of a group

  explicit Layout(const WinogradConv& conv)
      // An odd number of cache lines, so that a tile's products are not mapped to the same few sets
      // of the L1 cache.
      : input_step((ceil_div(kRows * conv.in_channels, kLineFloats) | 1) * kLineFloats),
        inputs(kProductsOf<Axis> * input_step),
        sums(kSumsOf<Axis> * kRows * kPanel) {}
  int64_t size(int64_t tiles) const { return ceil_div(tiles, kRows) * (inputs + sums); }
};

template <class Axis>
int64_t scratch_size(const WinogradConv& conv, int64_t threads) {
  // For all threads, even if fewer are used: more tiles must never need less memory, which the
  // search for a batch that fits relies on.
  return threads * Layout<Axis>(conv).size(division_of<Axis>(conv, threads).most);
}

/// From one of a panel's weights to the next, in floats: an odd number of cache lines, as above.
int64_t weight_step(const WinogradConv& conv) {
  return conv.in_channels * kPanel + kLineFloats;
}

template <class Axis>
int64_t packed_size(const WinogradConv& conv) {
  const int64_t panels = ceil_div(conv.out_channels, kPanel);
  return panels * kWeightsOf<Axis> * weight_step(conv) + conv.in_channels;
}

/// Prefetches into the L2 cache: cache line `line` of input pixel (row, column) of n tiles.
template <class Axis, class T>
void fetch_pixel(const Picture<T>& x, const Tiling& tiling, int64_t first, int64_t n, int64_t row,
                 int64_t column, int64_t line) {
  const int64_t tiles = tiles_of(tiling);
  Place place = place_of(tiling, first);
  for (int64_t t = first; t < least(first + n, tiles); ++t) {
    const int64_t r = Axis::first_input(place.row) + row;
    const int64_t c = Axis::first_input(place.column) + column;
    if (r >= 0 && r < x.height && c >= 0 && c < x.width) {
      const int64_t pixel = (place.picture * x.height + r) * x.width + c;
      __builtin_prefetch(x.data + pixel * x.channels + line * kLineOf<T>, 0, 2);
    }
    place = next_of(tiling, place);
  }
}

/// Tiles [first, last) and panels [first_panel, last_panel), on one thread.
template <class Axis, class T, bool kSilu, bool kResidual>
void run_block(const WinogradConv& conv, int64_t first, int64_t last, int64_t first_panel,
               int64_t last_panel, float* scratch) {
  static constexpr Products<Axis> products;
  const Picture<T> x = input_of<T>(conv);
  const Tiling tiling = tiling_of<Axis>(conv);
  const Layout<Axis> layout(conv);
  const int64_t n = last - first, depth = conv.in_channels;
  const int64_t panels = ceil_div(conv.out_channels, kPanel);
  const int64_t step = weight_step(conv);
  const float* zeros = conv.weights + panels * kWeightsOf<Axis> * step;
  float* const inputs = scratch;
  float* const sums = scratch + ceil_div(n, kRows) * layout.inputs;
  const auto transform =
      [](const Vector* d, int step, Vector* out, int out_step) __attribute__((always_inline)) {
    Axis::transform_inputs(d, step, out, out_step);
  };
  for (int64_t t = 0; t < n; ++t) {
    const Place place = place_of(tiling, first + t);
    gather<Axis::kInputs, Axis::kProducts>(x, place.picture, Axis::first_input(place.row),
                                           Axis::first_input(place.column), zeros, transform,
                                           inputs + t / kRows * layout.inputs + t % kRows * depth,
                                           layout.input_step, kPanel);
  }
  // While this block is multiplied, the pixels of the next one are prefetched, one per product,
  // unless they would push this block's numbers out of the cache.
  const bool fetches = n * kProductsOf<Axis> * depth <= kMaxFloats;
  const int64_t lines = fetches ? ceil_div(depth, kLineOf<T>) : 0;
  constexpr int kPixels = Axis::kInputs * Axis::kInputs;
  for (int64_t panel = first_panel; panel < last_panel; ++panel) {
    const float* panel_weights = conv.weights + panel * kWeightsOf<Axis> * step;
    for (int i = 0; i < kProductsOf<Axis>; ++i) {
      const Product product = products.of[i];
      const Product next = products.of[i + 1 < kProductsOf<Axis> ? i + 1 : i];
      const float* weights = panel_weights + product.weight * step;
      const FetchBoth fetch{inputs + next.input * layout.input_step,
                            panel_weights + next.weight * step};
      const int64_t last_line = i < kPixels ? lines * (panel + 1) / panels : 0;
      for (int64_t line = lines * panel / panels; line < last_line; ++line) {
        fetch_pixel<Axis>(x, tiling, last, n, i / Axis::kInputs, i % Axis::kInputs, line);
      }
      const float* rows = inputs + product.input * layout.input_step;
      float* const out = sums + product.sum * kRows * kPanel;
      if (product.begins) {
        multiply_all<true>(n, rows, layout.inputs, depth, weights, out, layout.sums, fetch);
      } else {
        multiply_all<false>(n, rows, layout.inputs, depth, weights, out, layout.sums, fetch);
      }
    }
    const int64_t channel = panel * kPanel, channels = least(kPanel, conv.out_channels - channel);
    for (int64_t t = 0; t < n; ++t) {
      scatter_tile<Axis, T, kSilu, kResidual>(conv, place_of(tiling, first + t),
                                              sums + t / kRows * layout.sums + t % kRows * kPanel,
                                              kRows * kPanel, channel, channels);
    }
  }
}

template <class Axis, class T, bool kSilu, bool kResidual>
void run_as(const WinogradConv& conv, int64_t threads) {
  const Division division = division_of<Axis>(conv, threads);
  const int64_t tiles = tiles_of(tiling_of<Axis>(conv));
  const int64_t size = Layout<Axis>(conv).size(division.most);
  const int64_t panels = ceil_div(conv.out_channels, kPanel), parts = division.parts;
  const int64_t units = division.blocks * parts;
  parallel_for(division.threads, 1, [=](int64_t thread) {
    const int64_t last = units * (thread + 1) / division.threads;
    for (int64_t unit = units * thread / division.threads; unit < last; ++unit) {
      const int64_t block = unit / parts, part = unit % parts;
      // Units as equal as possible.
      run_block<Axis, T, kSilu, kResidual>(
          conv, tiles * block / division.blocks, tiles * (block + 1) / division.blocks,
          panels * part / parts, panels * (part + 1) / parts, conv.scratch + thread * size);
    }
  });
}

template <class Axis, class T>
void run_of(const WinogradConv& conv, int64_t threads) {
  if (conv.residual != nullptr) {
    conv.silu ? run_as<Axis, T, true, true>(conv, threads)
              : run_as<Axis, T, false, true>(conv, threads);
  } else {
    conv.silu ? run_as<Axis, T, true, false>(conv, threads)
              : run_as<Axis, T, false, false>(conv, threads);
  }
}

template <class Axis>
void run(const WinogradConv& conv, int64_t threads) {
  conv.dtype == DType::kBFloat16 ? run_of<Axis, BFloat16>(conv, threads)
                                 : run_of<Axis, float>(conv, threads);
}

/// The weights of kLanes inputs and a panel of outputs, 9 taps each.
struct WeightBlock {
  Vector of[kLanes][kVectors][9];
};

/// Reads a block from input c and output o on, in whole vectors: along the inputs or the outputs,
/// whichever are contiguous.
YD_HOST_DEVICE void read_weights(const WeightView& weights, int64_t o, int64_t channels, int64_t c,
                                 WeightBlock& block) {
  for (int v = 0; v < kVectors; ++v, o += kLanes) {
    for (int tap = 0; tap < 9; ++tap) {
      const float* from = weights.base + o * weights.out + tap / 3 * weights.row +
                          tap % 3 * weights.column + c * weights.in;
      Vector rows[kLanes] = {};
      if (v * kLanes < channels) {
        const int64_t step = weights.out == 1 ? weights.in : weights.out;
        for (int i = 0; i < kLanes; ++i) rows[i] = load(from + i * step);
        if (weights.out != 1) transpose(rows);
      }
      for (int i = 0; i < kLanes; ++i) block.of[i][v][tap] = rows[i];
    }
  }
}

template <class Axis>
void pack(const WinogradConv& conv, const WeightView& weights, float* to) {
  constexpr int kWeights = Axis::kWeights, kAll = kWeightsOf<Axis>;
  const int64_t depth = conv.in_channels, panels = ceil_div(conv.out_channels, kPanel);
  const int64_t blocks = depth / kLanes, step = weight_step(conv);
  parallel_for(panels * blocks, 1, [=](int64_t task) {
    const int64_t panel = task / blocks, first = task % blocks * kLanes;
    const int64_t channels = least(kPanel, conv.out_channels - panel * kPanel);
    WeightBlock block;
    read_weights(weights, panel * kPanel, channels, first, block);
    float* out = to + panel * kAll * step + first * kPanel;
    for (int i = 0; i < kLanes; ++i, out += kPanel) {
      for (int v = 0; v < kVectors; ++v) {
        Vector half[kWeights * 3], row[kWeights];
        for (int j = 0; j < 3; ++j) Axis::transform_weights(block.of[i][v] + j, 3, half + j, 3);
        for (int k = 0; k < kWeights; ++k) {
          Axis::transform_weights(half + k * 3, 1, row, 1);
          for (int j = 0; j < kWeights; ++j) {
            store(row[j], out + (k * kWeights + j) * step + v * kLanes);
          }
        }
      }
    }
  });
  float* const zeros = to + panels * kAll * step;
  for (int64_t c = 0; c < depth; ++c) zeros[c] = 0;
}

template <class Axis>
constexpr WinogradKernels kKernels{packed_size<Axis>, scratch_size<Axis>, pack<Axis>, run<Axis>};

}  // namespace

const WinogradTable& winograd_kernels() {
  static const WinogradTable kernels{kKernels<Stride1>, kKernels<WideStride1>, kKernels<Stride2>,
                                     kKernels<Stride2Backward>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
