// SPDX-License-Identifier: MIT
// Winograd's kernels themselves, also where conv2d would choose others, against the plain loops in
// float64.
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_winograd_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

using test::worst_relative;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Layer {
  int64_t batch, height, width, in_channels, out_channels, stride;
  bool is_wide = false;  // by F(5, 3) instead of F(4, 3)
  Conv2dOptions options() const { return {stride, 1}; }
  Shape input() const { return {batch, height, width, in_channels}; }
  Shape weights() const { return {out_channels, 3, 3, in_channels}; }
};

/// Sides that fill no tile, one, one and a part of the next; channels that fill panels in part.
std::vector<Layer> layers() {
  std::vector<Layer> all;
  const int64_t channels[] = {16, 48, 32};
  for (const auto& [stride, is_wide] : {std::pair(1, false), {1, true}, {2, false}}) {
    for (int64_t side = 1; side <= 12; ++side) {
      all.push_back({1 + side % 3, side, 1 + side * 5 % 12, channels[side % 3],
                     channels[side / 3 % 3], stride, is_wide});
    }
    all.push_back({2, 23, 21, 16, 48, stride, is_wide});   // the last group of tiles in part
    all.push_back({1, 41, 64, 16, 16, stride, is_wide});   // several blocks
    all.push_back({1, 20, 20, 48, 112, stride, is_wide});  // few tiles: threads share the channels
  }
  return all;
}

// Sums of up to 9 * 48 products in float32 with random signs, a few times the definition's error;
// that of longer sums grows by the root of their length.
constexpr double kTolerance = 5e-6, kWideTolerance = 1e-5;

/// For sums over so many channels.
double tolerance_of(const Layer& l, int64_t channels) {
  return (l.is_wide ? kWideTolerance : kTolerance) *
         std::sqrt(std::max(1.0, double(channels) / 48));
}

/// What the kernels make of it; y and the scratch memory begin as NaN.
Tensor run(const WinogradKernels& kernels, WinogradConv conv, const WeightView& weights,
           const Tensor& x, const Shape& shape, int64_t threads) {
  conv.batch = x.shape()[0];
  conv.in_height = x.shape()[1];
  conv.in_width = x.shape()[2];
  conv.in_channels = x.shape()[3];
  conv.out_height = shape[1];
  conv.out_width = shape[2];
  conv.out_channels = shape[3];
  std::vector<float> packed(size_t(kernels.packed_size(conv)), kNan);
  std::vector<float> scratch(size_t(kernels.scratch_size(conv, threads)), kNan);
  kernels.pack(conv, weights, packed.data());
  const Tensor y = Tensor::full(shape, double(kNan));
  conv.x = x.data<float>();
  conv.weights = packed.data();
  conv.y = y.data<float>();
  conv.scratch = scratch.data();
  kernels.run(conv, threads);
  return y;
}

const WinogradKernels& stride_1_kernels(const Layer& l) {
  const WinogradTable& table = winograd_kernels();
  return l.is_wide ? table.wide_stride_1 : table.stride_1;
}

Tensor run_forward(const Layer& l, const Tensor& x, const Tensor& w, const WinogradConv& options,
                   int64_t threads) {
  const int64_t c = l.in_channels;
  return run(l.stride == 1 ? stride_1_kernels(l) : winograd_kernels().stride_2, options,
             {w.data<float>(), 9 * c, 3 * c, c, 1}, x,
             conv2d_geometry(l.input(), l.weights(), l.options()).output_shape(), threads);
}

Tensor run_backward(const Layer& l, const Tensor& grad_y, const Tensor& w, int64_t threads) {
  const int64_t c = l.in_channels;
  return run(l.stride == 1 ? stride_1_kernels(l) : winograd_kernels().stride_2_backward, {},
             {w.data<float>() + 8 * c, 1, -3 * c, -c, 9 * c}, grad_y, l.input(), threads);
}

Tensor d(const Tensor& t) {
  return t.to(DType::kFloat64);
}

bool same_bits(const Tensor& a, const Tensor& b) {
  return std::memcmp(a.data<float>(), b.data<float>(), size_t(a.numel()) * sizeof(float)) == 0;
}

TEST_CASE("conv_winograd: forward and the gradient of the input agree with the float64 loops") {
  for (const Layer& l : layers()) {
    Rng rng(21);
    const Tensor x = rng.uniform(l.input(), -1, 1), w = rng.uniform(l.weights(), -1, 1);
    const Tensor bias = rng.uniform({l.out_channels}, -1, 1);
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), l.options());
    const Tensor grad_y = rng.uniform(g.output_shape(), -1, 1);
    INFO(x.str() << " * " << w.str() << " stride " << l.stride << (l.is_wide ? " wide" : ""));
    WinogradConv options{};
    CHECK(worst_relative(run_forward(l, x, w, options, 1),
                         conv2d_forward(d(x), d(w), {}, l.options())) <
          tolerance_of(l, l.in_channels));
    options.bias = bias.data<float>();
    CHECK(worst_relative(run_forward(l, x, w, options, 1),
                         conv2d_forward(d(x), d(w), d(bias), l.options())) <
          tolerance_of(l, l.in_channels));
    CHECK(worst_relative(run_backward(l, grad_y, w, 1),
                         conv2d_backward_input(d(grad_y), d(w), x.shape(), DType::kFloat64,
                                               l.options())) < tolerance_of(l, l.out_channels));
  }
}

TEST_CASE("conv_winograd: SiLU comes before the residual") {
  for (const Layer& l :
       {Layer{2, 13, 9, 32, 48, 1}, {2, 13, 9, 32, 48, 1, true}, {2, 13, 9, 32, 48, 2}}) {
    Rng rng(22);
    const Tensor x = rng.uniform(l.input(), -1, 1), w = rng.uniform(l.weights(), -0.1, 0.1);
    const Tensor y = conv2d_forward(d(x), d(w), {}, l.options());
    const Tensor residual = rng.uniform(y.shape(), -1, 1);
    for (int64_t i = 0; i < y.numel(); ++i) {
      double& value = y.data<double>()[i];
      value = value / (1 + std::exp(-value)) + residual.at(i);
    }
    WinogradConv options{};
    options.silu = true;
    options.residual = residual.data<float>();
    CHECK(worst_relative(run_forward(l, x, w, options, 2), y) < tolerance_of(l, l.in_channels));
  }
}

TEST_CASE("conv_winograd: the same bits with any number of threads") {
  for (const Layer& l : layers()) {
    Rng rng(23);
    const Tensor x = rng.uniform(l.input(), -1, 1), w = rng.uniform(l.weights(), -1, 1);
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), l.options());
    const Tensor grad_y = rng.uniform(g.output_shape(), -1, 1);
    INFO(x.str() << " * " << w.str() << " stride " << l.stride);
    const Tensor y = run_forward(l, x, w, {}, 1), grad_x = run_backward(l, grad_y, w, 1);
    for (const int64_t threads : {2, 3, 8}) {
      CHECK(same_bits(run_forward(l, x, w, {}, threads), y));
      CHECK(same_bits(run_backward(l, grad_y, w, threads), grad_x));
    }
  }
}

TEST_CASE("conv_winograd: a larger batch never asks for less memory") {
  const WinogradTable& table = winograd_kernels();
  for (const WinogradKernels& kernels :
       {table.stride_1, table.wide_stride_1, table.stride_2, table.stride_2_backward}) {
    int64_t last = 0;
    for (int64_t batch = 1; batch < 40; ++batch) {
      WinogradConv conv{};
      conv.batch = batch;
      conv.in_height = conv.in_width = conv.out_height = conv.out_width = 10;
      conv.in_channels = conv.out_channels = 64;
      const int64_t size = kernels.scratch_size(conv, 2);
      CHECK(size >= last);
      last = size;
    }
  }
}

}  // namespace
}  // namespace ydistill
