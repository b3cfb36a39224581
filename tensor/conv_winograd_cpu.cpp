// SPDX-License-Identifier: MIT
// F(4x4, 3x3): a tile of 4 x 4 outputs needs 6 x 6 inputs and as many products a pair of channels,
// where the definition takes 144.
#include <ydistill/tensor/conv_winograd_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/winograd_transforms.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int kIn = kWinogradIn, kOut = kWinogradOut;

constexpr int64_t kBlockFloats =
    1 << 16;                       // of a block's transformed inputs: they stay in the L2 cache
constexpr int64_t kMinBlock = 24;  // tiles, unless there are fewer: they share the weights read

/// A^T of six numbers.
YD_HOST_DEVICE void transform_output(const Vector* m, int step, Vector* to, int to_step) {
  const Vector sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
  const Vector sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
  to[0] = m[0] + sum_a + sum_b;
  to[to_step] = kA * difference_a + kB * difference_b;
  to[2 * to_step] = 0.5f * sum_a + 2.0f * sum_b;
  to[3 * to_step] = (kA * 0.5f) * difference_a + (kB * 2.0f) * difference_b + m[5 * step];
}

/// The outputs of one tile in channels [first, first + channels) from their products, [kPoints]
/// rows of kPanel that lie point_step apart.
template <class T, bool kSilu, bool kResidual>
YD_HOST_DEVICE void scatter_tile(const WinogradConv& conv, const Place& place,
                                 const float* products, int64_t point_step, int64_t first,
                                 int64_t channels) {
  T* const y = static_cast<T*>(conv.y);
  const T* const residual = static_cast<const T*>(conv.residual);
  const int64_t rows = least(kOut, conv.height - place.row);
  const int64_t columns = least(kOut, conv.width - place.column);
  for (int64_t c = 0; c < channels; c += kLanes) {
    Vector m[kPoints], half[kOut * kIn];
    for (int k = 0; k < kPoints; ++k) m[k] = load(products + k * point_step + c);
    for (int j = 0; j < kIn; ++j) transform_output(m + j, kIn, half + j, kIn);
    const Vector bias = conv.bias != nullptr ? load(conv.bias + first + c) : Vector{};
    for (int64_t i = 0; i < rows; ++i) {
      Vector row[kOut];
      transform_output(half + i * kIn, 1, row, 1);
      float values[kOut][kLanes];
      for (int j = 0; j < kOut; ++j) store(row[j] + bias, values[j]);
      const int64_t pixel =
          (place.picture * conv.height + place.row + i) * conv.width + place.column;
      const int64_t at = pixel * conv.out_channels + first + c;
      for (int64_t j = 0; j < columns; ++j) {
        const int64_t to = at + j * conv.out_channels;
        finish_channels<kSilu, kResidual>(values[j], residual + (kResidual ? to : 0), kLanes,
                                          y + to);
      }
    }
  }
}

template <int kCount>
[[gnu::noinline]] void multiply(const float* rows, int64_t depth, const float* panel, float* to) {
  const float* row[kCount];
  Vector sums[kCount][kVectors] = {};
  for (int i = 0; i < kCount; ++i) row[i] = rows + i * depth;
  add_products<kCount>(row, 0, depth, panel, sums);
  for (int i = 0; i < kCount; ++i) {
    for (int v = 0; v < kVectors; ++v) store(sums[i][v], to + i * kPanel + v * kLanes);
  }
}

/// Up to kRows rows.
template <int kCount = kRows>
YD_HOST_DEVICE void multiply_rows(int64_t count, const float* rows, int64_t depth,
                                  const float* panel, float* to) {
  if constexpr (kCount > 0) {
    if (count == kCount) return multiply<kCount>(rows, depth, panel, to);
    multiply_rows<kCount - 1>(count, rows, depth, panel, to);
  }
}

template <class T = float>
YD_HOST_DEVICE Picture<T> input_of(const WinogradConv& conv) {
  return {static_cast<const T*>(conv.x), conv.batch, conv.height, conv.width, conv.in_channels};
}

/// Tiles of a block, at most, and how many threads share the blocks, each as many of them.
struct Division {
  int64_t block, blocks, threads;
};

Division division_of(const WinogradConv& conv, int64_t threads) {
  const int64_t tiles = tiles_of(input_of(conv));
  const int64_t wanted = kBlockFloats / (kPoints * conv.in_channels);
  const int64_t most = ceil_div(wanted < kMinBlock ? kMinBlock : wanted, kRows) * kRows;
  threads = least(threads, tiles);
  const int64_t blocks = least(ceil_div(ceil_div(tiles, most), threads) * threads, tiles);
  return {ceil_div(tiles, blocks), blocks, threads};
}

int64_t scratch_of_thread(const WinogradConv& conv, const Division& division) {
  return kPoints * division.block * (conv.in_channels + kPanel);
}

int64_t scratch_size(const WinogradConv& conv, int64_t threads) {
  const Division division = division_of(conv, threads);
  return division.threads * scratch_of_thread(conv, division);
}

int64_t packed_size(const WinogradConv& conv) {
  return ceil_div(conv.out_channels, kPanel) * kPanel * kPoints * conv.in_channels +
         conv.in_channels;
}

/// Tiles [first, last), on one thread.
template <class T, bool kSilu, bool kResidual>
void run_block(const WinogradConv& conv, int64_t first, int64_t last, float* scratch) {
  const Picture<T> x = input_of<T>(conv);
  const int64_t n = last - first, depth = conv.in_channels;
  const int64_t panels = ceil_div(conv.out_channels, kPanel);
  const float* zeros = conv.weights + panels * kPanel * kPoints * depth;
  float* const inputs = scratch;                          // [kPoints][n][in_channels]
  float* const products = scratch + kPoints * n * depth;  // [kPoints][n][kPanel]
  for (int64_t t = 0; t < n; ++t) {
    gather_inputs(x, place_of(x, first + t), zeros, inputs + t * depth, n * depth, kPanel);
  }
  const int64_t groups = ceil_div(n, kRows);
  for (int64_t panel = 0; panel < panels; ++panel) {
    for (int64_t k = 0; k < kPoints; ++k) {
      const float* weights = conv.weights + (panel * kPoints + k) * depth * kPanel;
      for (int64_t g = 0; g < groups; ++g) {
        const int64_t from = n * g / groups, to = n * (g + 1) / groups;
        multiply_rows(to - from, inputs + (k * n + from) * depth, depth, weights,
                      products + (k * n + from) * kPanel);
      }
    }
    const int64_t channel = panel * kPanel, channels = least(kPanel, conv.out_channels - channel);
    for (int64_t t = 0; t < n; ++t) {
      scatter_tile<T, kSilu, kResidual>(conv, place_of(x, first + t), products + t * kPanel,
                                        n * kPanel, channel, channels);
    }
  }
}

template <class T, bool kSilu, bool kResidual>
void run_as(const WinogradConv& conv, int64_t threads) {
  const Division division = division_of(conv, threads);
  const int64_t tiles = tiles_of(input_of(conv)), size = scratch_of_thread(conv, division);
  parallel_for(division.threads, 1, [=](int64_t thread) {
    const int64_t first = division.blocks * thread / division.threads;
    const int64_t last = division.blocks * (thread + 1) / division.threads;
    for (int64_t block = first; block < last; ++block) {
      // As even as can be.
      const int64_t from = tiles * block / division.blocks;
      const int64_t to = tiles * (block + 1) / division.blocks;
      run_block<T, kSilu, kResidual>(conv, from, to, conv.scratch + thread * size);
    }
  });
}

template <class T>
void run_of(const WinogradConv& conv, int64_t threads) {
  if (conv.residual != nullptr) {
    conv.silu ? run_as<T, true, true>(conv, threads) : run_as<T, false, true>(conv, threads);
  } else {
    conv.silu ? run_as<T, true, false>(conv, threads) : run_as<T, false, false>(conv, threads);
  }
}

void run(const WinogradConv& conv, int64_t threads) {
  conv.dtype == DType::kBFloat16 ? run_of<BFloat16>(conv, threads) : run_of<float>(conv, threads);
}

/// kPanel numbers, one an output channel.
struct Lane {
  double of[kPanel];
};

/// G of three numbers.
YD_HOST_DEVICE void transform_weights(const Lane* w, int64_t step, Lane* to, int64_t to_step) {
  constexpr double kA2 = 0.5, kB2 = 2;  // squares of the points
  constexpr double a = 0.707106781186547524, b = 1.41421356237309505;
  constexpr double of_a = 1 / (2 * kA2 * (kA2 - kB2)), of_b = 1 / (2 * kB2 * (kB2 - kA2));
#pragma GCC ivdep
  for (int i = 0; i < kPanel; ++i) {
    const double w0 = w[0].of[i], w1 = w[step].of[i], w2 = w[2 * step].of[i];
    const double even_a = (w0 + kA2 * w2) * of_a, even_b = (w0 + kB2 * w2) * of_b;
    const double odd_a = a * of_a * w1, odd_b = b * of_b * w1;
    to[0].of[i] = w0 / (kA2 * kB2);
    to[to_step].of[i] = even_a + odd_a;
    to[2 * to_step].of[i] = even_a - odd_a;
    to[3 * to_step].of[i] = even_b + odd_b;
    to[4 * to_step].of[i] = even_b - odd_b;
    to[5 * to_step].of[i] = w2;
  }
}

void pack(const WinogradConv& conv, const WeightView& weights, float* to) {
  const int64_t depth = conv.in_channels, panels = ceil_div(conv.out_channels, kPanel);
  constexpr int64_t kGrain = 16;  // inputs a task
  const int64_t parts = ceil_div(depth, kGrain);
  parallel_for(panels * parts, 1, [=](int64_t task) {
    const int64_t panel = task / parts, first = task % parts * kGrain;
    const int64_t channels = least(kPanel, conv.out_channels - panel * kPanel);
    float* const out = to + panel * kPoints * depth * kPanel;
    for (int64_t c = first; c < least(first + kGrain, depth); ++c) {
      Lane w[9] = {}, half[kIn * 3], all[kPoints];
      for (int64_t p = 0; p < 3; ++p) {
        for (int64_t q = 0; q < 3; ++q) {
          const float* from = weights.base + panel * kPanel * weights.out + p * weights.row +
                              q * weights.column + c * weights.in;
          for (int64_t o = 0; o < channels; ++o) {
            w[p * 3 + q].of[o] = double(from[o * weights.out]);
          }
        }
      }
      for (int j = 0; j < 3; ++j) transform_weights(w + j, 3, half + j, 3);
      for (int i = 0; i < kIn; ++i) transform_weights(half + i * 3, 1, all + i * kIn, 1);
      for (int64_t k = 0; k < kPoints; ++k) {
#pragma GCC ivdep
        for (int o = 0; o < kPanel; ++o) out[(k * depth + c) * kPanel + o] = float(all[k].of[o]);
      }
    }
  });
  float* const zeros = to + panels * kPoints * depth * kPanel;
  for (int64_t c = 0; c < depth; ++c) zeros[c] = 0;
}

}  // namespace

const WinogradKernels& winograd_kernels() {
  static const WinogradKernels kernels{packed_size, scratch_size, pack, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
