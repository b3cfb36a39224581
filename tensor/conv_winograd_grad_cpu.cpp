// SPDX-License-Identifier: MIT
// F(3x3, 4x4): the gradient of 3 x 3 weights is a correlation of the input with the gradient of the
// output; a tile of 4 x 4 of the latter belongs to 6 x 6 inputs. The 36 products are summed over
// all tiles in the transformed domain; the inverse transform is applied once, at the end.
//
// All threads transform a chunk of tiles, then each thread adds up the products of some points. So
// the order of every sum is the same for any number of threads.
#include <ydistill/tensor/conv_winograd_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/winograd_transforms.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int kIn = kWinogradPoints, kOut = 4, kPoints = kIn * kIn;

constexpr int64_t kChunkFloats = 1 << 20;  // of a chunk's transforms: they stay in the L3 cache
constexpr int64_t kTilesPerTask = 8;

/// The transform G of four numbers.
YD_HOST_DEVICE void transform_gradient(const Vector* g, int step, Vector* to, int to_step) {
  constexpr float kOfA = -2.0f / 3, kOfB = 1.0f / 6;  // 1 / (2 a^2 (a^2 - b^2)), and of b
  const Vector g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step];
  const Vector even_a = kOfA * (g0 + 0.5f * g2), odd_a = (kOfA * kA) * (g1 + 0.5f * g3);
  const Vector even_b = kOfB * (g0 + 2.0f * g2), odd_b = (kOfB * kB) * (g1 + 2.0f * g3);
  to[0] = g0;
  to[to_step] = even_a + odd_a;
  to[2 * to_step] = even_a - odd_a;
  to[3 * to_step] = even_b + odd_b;
  to[4 * to_step] = even_b - odd_b;
  to[5 * to_step] = g3;
}

/// The inverse transform A^T of six numbers gives three.
YD_HOST_DEVICE void transform_back(const Vector* m, int step, Vector* to) {
  const Vector sum_a = m[step] + m[2 * step], difference_a = m[step] - m[2 * step];
  const Vector sum_b = m[3 * step] + m[4 * step], difference_b = m[3 * step] - m[4 * step];
  to[0] = m[0] + sum_a + sum_b;
  to[1] = kA * difference_a + kB * difference_b;
  to[2] = 0.5f * sum_a + 2.0f * sum_b + m[5 * step];
}

template <class T>
YD_HOST_DEVICE Picture<T> input_of(const WinogradGrad& grad) {
  return {static_cast<const T*>(grad.x), grad.batch, grad.height, grad.width, grad.in_channels};
}
template <class T>
YD_HOST_DEVICE Picture<T> gradient_of(const WinogradGrad& grad) {
  return {static_cast<const T*>(grad.grad_y), grad.batch, grad.height, grad.width,
          grad.out_channels};
}

YD_HOST_DEVICE Tiling tiling_of(const WinogradGrad& grad) {
  return {kOut, grad.batch, grad.height, grad.width};
}

YD_HOST_DEVICE int64_t padded(int64_t channels) {
  return ceil_div(channels, kPanel) * kPanel;
}

/// The layout of the scratch memory, and the number of tiles in a chunk.
struct Layout {
  int64_t inputs, outputs, chunk;  // channels, rounded up to whole panels

  explicit Layout(const WinogradGrad& grad)
      : inputs(padded(grad.in_channels)), outputs(padded(grad.out_channels)) {
    const int64_t wanted = kChunkFloats / (kPoints * (inputs + outputs));
    chunk = least(wanted < 16 ? 16 : wanted, tiles_of(tiling_of(grad)));
  }
  int64_t sums() const { return kPoints * outputs * inputs; }  // [kPoints][outputs][inputs]
  int64_t transformed(int64_t channels) const { return kPoints * chunk * channels; }
};

int64_t scratch_size(const WinogradGrad& grad) {
  const Layout layout(grad);
  return layout.sums() + layout.transformed(layout.inputs + layout.outputs) +
         (grad.in_channels > grad.out_channels ? grad.in_channels : grad.out_channels);
}

/// sums[o][.] += sum over n tiles of g[tile][o] x[tile][.] for kCount outputs and a panel of
/// inputs. Both operands are panels, tiles kPanel apart; rows of sums are `step` apart. The tiles'
/// sum begins at zero: added one by one to a sum of many, they would lose digits.
template <int kCount>
[[gnu::noinline]] void multiply(const float* g, const float* x, int64_t n, float* sums,
                                int64_t step) {
  Vector sum[kCount][kVectors] = {};
  for (int64_t t = 0; t < n; ++t, g += kPanel, x += kPanel) {
    Vector value[kVectors];
    for (int v = 0; v < kVectors; ++v) value[v] = load(x + v * kLanes);
#pragma GCC unroll 12
    for (int i = 0; i < kCount; ++i) {
      const float factor = g[i];
      for (int v = 0; v < kVectors; ++v) sum[i][v] += value[v] * factor;
    }
  }
  for (int i = 0; i < kCount; ++i) {
    for (int v = 0; v < kVectors; ++v) {
      float* const to = sums + i * step + v * kLanes;
      store(load(to) + sum[i][v], to);
    }
  }
}

/// Adds the products of a panel of outputs and a panel of inputs at one point.
YD_HOST_DEVICE void multiply_panels(const float* g, const float* x, int64_t n, float* sums,
                                    int64_t step) {
  constexpr int kRest = kPanel % kRows;
  int o = 0;
  for (; o + kRows <= kPanel; o += kRows) multiply<kRows>(g + o, x, n, sums + o * step, step);
  if constexpr (kRest > 0) multiply<kRest>(g + o, x, n, sums + o * step, step);
}

/// Transforms the sums of one output channel back and adds them to its weights' gradients.
YD_HOST_DEVICE void add_weights(const float* sums, int64_t point_step, int64_t in_channels,
                                float* to) {
  for (int64_t c = 0; c < in_channels; c += kLanes) {
    Vector m[kPoints], half[3 * kIn];
    for (int k = 0; k < kPoints; ++k) m[k] = load(sums + k * point_step + c);
    for (int j = 0; j < kIn; ++j) {
      Vector column[3];
      transform_back(m + j, kIn, column);
      for (int p = 0; p < 3; ++p) half[p * kIn + j] = column[p];
    }
    for (int p = 0; p < 3; ++p) {
      Vector row[3];
      transform_back(half + p * kIn, 1, row);
      for (int q = 0; q < 3; ++q) {
        float* const weight = to + (p * 3 + q) * in_channels + c;
        store(load(weight) + row[q], weight);
      }
    }
  }
}

template <class T>
void run_of(const WinogradGrad& grad) {
  const Layout layout(grad);
  const Picture<T> x = input_of<T>(grad), g = gradient_of<T>(grad);
  const Tiling tiling = tiling_of(grad);
  const int64_t tiles = tiles_of(tiling), point_size = layout.outputs * layout.inputs;
  float* const sums = grad.scratch;
  float* const inputs = sums + layout.sums();
  float* const gradients = inputs + layout.transformed(layout.inputs);
  float* const zeros = gradients + layout.transformed(layout.outputs);
  const int64_t most = x.channels > g.channels ? x.channels : g.channels;
  for (int64_t c = 0; c < most; ++c) zeros[c] = 0;
  parallel_ranges(layout.sums(), 1 << 15, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[i] = 0;
  });
  // The padding after a panel's channels is multiplied as well, though its sums are never read.
  if (layout.inputs != x.channels || layout.outputs != g.channels) {
    const int64_t all = layout.transformed(layout.inputs + layout.outputs);
    parallel_ranges(all, 1 << 15, [=](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) inputs[i] = 0;
    });
  }
  for (int64_t first = 0; first < tiles; first += layout.chunk) {
    const int64_t n = least(layout.chunk, tiles - first);
    parallel_for(n, kTilesPerTask, [=](int64_t t) {
      const auto of_input =
          [](const Vector* d, int step, Vector* out, int out_step) __attribute__((always_inline)) {
        transform_input(d, step, out, out_step);
      };
      const auto of_gradient =
          [](const Vector* d, int step, Vector* out, int out_step) __attribute__((always_inline)) {
        transform_gradient(d, step, out, out_step);
      };
      const Place place = place_of(tiling, first + t);
      gather<kIn, kIn>(x, place.picture, place.row - 1, place.column - 1, zeros, of_input,
                       inputs + t * kPanel, n * layout.inputs, n * kPanel);
      gather<kOut, kIn>(g, place.picture, place.row, place.column, zeros, of_gradient,
                        gradients + t * kPanel, n * layout.outputs, n * kPanel);
    });
    const int64_t panels = layout.outputs / kPanel;
    parallel_for(kPoints * panels, 1, [=](int64_t task) {
      const int64_t k = task / panels, panel = task % panels;
      const float* const from = gradients + (k * layout.outputs + panel * kPanel) * n;
      float* const to = sums + k * point_size + panel * kPanel * layout.inputs;
      for (int64_t c = 0; c < layout.inputs; c += kPanel) {
        multiply_panels(from, inputs + (k * layout.inputs + c) * n, n, to + c, layout.inputs);
      }
    });
  }
  parallel_for(g.channels, 4, [=](int64_t o) {
    add_weights(sums + o * layout.inputs, point_size, x.channels,
                grad.grad_weights + o * 9 * x.channels);
  });
}

void run(const WinogradGrad& grad) {
  grad.dtype == DType::kBFloat16 ? run_of<BFloat16>(grad) : run_of<float>(grad);
}

}  // namespace

const WinogradGradKernels& winograd_grad_kernels() {
  static const WinogradGradKernels kernels{scratch_size, run};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
