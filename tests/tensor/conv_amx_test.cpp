// SPDX-License-Identifier: MIT
// The products by AMX themselves, against the plain loops in float64: emulated on every CPU, and by
// the tiles where the CPU has them. That convolutions in three directions are the definition is
// tested through conv2d, under YDISTILL_AMX=emulated too.
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_amx_kernels.h>
#include <ydistill/tensor/conv_int8_kernels.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

using test::worst_relative;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
/// Rounding the weights and the output to bfloat16, beside the largest number.
constexpr double kTolerance = 6e-3;

/// The emulation, and the tiles where there are any.
template <class Kernels>
std::vector<const Kernels*> ways(const Kernels& emulated, const Kernels& chosen) {
  if (cpu_amx() != Amx::kTiles) return {&emulated};
  return {&emulated, &chosen};
}
std::vector<const AmxConvKernels*> ways() {
  return ways(cpu_base::amx_conv_kernels(), amx_conv_kernels());
}

/// Every number of it a NaN, as float32 and as bfloat16.
std::vector<float> nan_floats(int64_t n) {
  std::vector<float> floats(static_cast<size_t>(n));
  if (n > 0) std::memset(floats.data(), 0xff, floats.size() * sizeof(float));
  return floats;
}

struct Layer {
  int64_t batch, height, width, in_channels, out_channels, kernel, stride, padding;
  Conv2dOptions options() const { return {stride, padding}; }
};

const Layer kLayers[] = {
    {2, 9, 11, 32, 64, 1, 1, 0},   // in place, the last product does some outputs again
    {1, 3, 5, 32, 32, 1, 1, 0},    // too few outputs for that
    {1, 8, 8, 48, 16, 1, 1, 0},    // in place in two steps, half a panel
    {1, 8, 8, 34, 16, 1, 1, 0},    // the second step is filled in part: copied
    {1, 9, 7, 17, 32, 1, 1, 0},    // half a pair is filled up
    {2, 13, 10, 32, 48, 3, 1, 1},  // a panel and a half
    {1, 12, 40, 12, 32, 3, 1, 1},  // the stem
    {1, 17, 18, 3, 16, 6, 2, 2},   // the stem since version 6
    {2, 15, 14, 64, 33, 3, 2, 1},  // a channel more than a panel
    {1, 1, 1, 16, 5, 3, 1, 1},     // mostly border
    {1, 70, 66, 64, 32, 3, 1, 1},  // several chunks
    {1, 7, 9, 16, 16, 5, 3, 2},   {1, 9, 9, 16, 16, 3, 1, 0},
};

DirectConv conv_of(const Layer& l) {
  const Conv2dGeometry g =
      conv2d_geometry({l.batch, l.height, l.width, l.in_channels},
                      {l.out_channels, l.kernel, l.kernel, l.in_channels}, l.options());
  DirectConv conv{};
  conv.x_dtype = conv.y_dtype = DType::kBFloat16;
  conv.batch = l.batch;
  conv.in_height = l.height;
  conv.in_width = l.width;
  conv.in_channels = l.in_channels;
  conv.kernel_height = conv.kernel_width = l.kernel;
  conv.stride = l.stride;
  conv.top = conv.left = l.padding;
  conv.out_height = g.out_height();
  conv.out_width = g.out_width();
  conv.out_channels = l.out_channels;
  conv.pixel_step = l.out_channels;
  conv.row_step = conv.out_width * conv.pixel_step;
  conv.picture_step = conv.out_height * conv.row_step;
  return conv;
}

/// y and all memory begin as NaN.
Tensor run(const AmxConvKernels& kernels, DirectConv conv, const Tensor& x,
           const WeightView& weights, const Tensor& y, int64_t threads) {
  std::vector<float> packed = nan_floats(kernels.packed_size(conv));
  std::vector<float> scratch = nan_floats(kernels.scratch_size(conv, threads));
  kernels.pack(conv, weights, packed.data());
  conv.x = x.raw();
  conv.weights = packed.data();
  conv.y = y.raw();
  kernels.run(conv, threads, scratch.data());
  return y;
}

Tensor d(const Tensor& t) {
  return t.to(DType::kFloat64);
}

/// Rounded to what bfloat16 shows.
Tensor rounded(const Tensor& t) {
  return t.to(DType::kBFloat16);
}

TEST_CASE("conv_amx: bias, SiLU and residual follow the products, whatever the threads") {
  for (const Layer& l : kLayers) {
    Rng rng(31);
    const Tensor x = rounded(rng.uniform({l.batch, l.height, l.width, l.in_channels}, -1, 1));
    const Tensor w = rng.uniform({l.out_channels, l.kernel, l.kernel, l.in_channels}, -0.3, 0.3);
    const Tensor bias = rng.uniform({l.out_channels}, -1, 1);
    DirectConv conv = conv_of(l);
    const WeightView view{w.data<float>(), l.kernel * l.kernel * l.in_channels,
                          l.kernel * l.in_channels, l.in_channels, 1};
    const Tensor sums = conv2d_forward(d(x), d(rounded(w)), d(bias), l.options());
    const Tensor residual = rounded(rng.uniform(sums.shape(), -1, 1));
    const Tensor expected = sums.clone();
    for (int64_t i = 0; i < sums.numel(); ++i) {
      double& value = expected.data<double>()[i];
      value = value / (1 + std::exp(-value)) + residual.at(i);
    }
    INFO(x.str() << " * " << w.str() << " stride " << l.stride);
    for (const AmxConvKernels* way : ways()) {
      for (const int64_t threads : {1, 2, 5}) {
        const auto fresh = [&](DType dtype) { return Tensor::full(sums.shape(), kNan).to(dtype); };
        conv.bias = bias.data<float>();
        conv.silu = false;
        conv.residual = nullptr;
        conv.y_dtype = DType::kFloat32;
        CHECK(worst_relative(run(*way, conv, x, view, fresh(DType::kFloat32), threads), sums) <
              1e-5);
        conv.y_dtype = DType::kBFloat16;
        CHECK(worst_relative(run(*way, conv, x, view, fresh(DType::kBFloat16), threads), sums) <
              kTolerance);
        conv.silu = true;
        conv.residual = residual.raw();
        CHECK(worst_relative(run(*way, conv, x, view, fresh(DType::kBFloat16), threads), expected) <
              kTolerance);
      }
    }
  }
}

TEST_CASE("conv_amx: outputs with a step between them leave what lies there alone") {
  const Layer l{2, 6, 7, 32, 32, 1, 1, 0};
  Rng rng(32);
  const Tensor x = rounded(rng.uniform({2, 6, 7, 32}, -1, 1)),
               w = rng.uniform({32, 1, 1, 32}, -1, 1);
  const Tensor sums = conv2d_forward(d(x), d(rounded(w)), {}, l.options());
  for (const AmxConvKernels* way : ways()) {
    const Tensor y = rounded(Tensor::full({2, 12, 14, 32}, 7));
    DirectConv conv = conv_of(l);
    conv.pixel_step = 2 * 32;  // every second pixel of every second row
    conv.row_step = 2 * 14 * 32;
    conv.picture_step = 12 * 14 * 32;
    run(*way, conv, x, {w.data<float>(), 32, 32, 32, 1}, y, 2);
    double worst = 0;
    for (int64_t i = 0; i < y.numel(); ++i) {
      const int64_t column = i / 32 % 14, row = i / 32 / 14 % 12, picture = i / 32 / 14 / 12;
      const bool is_output = row % 2 == 0 && column % 2 == 0;
      const double expected =
          is_output ? sums.at(((picture * 6 + row / 2) * 7 + column / 2) * 32 + i % 32) : 7;
      worst = test::worse(worst, std::abs(y.at(i) - expected));
    }
    CHECK(worst < 0.05);
  }
}

TEST_CASE("conv_amx: more threads or a larger batch never ask for less memory of a thread") {
  const auto sizes = {amx_conv_kernels().scratch_size, int8_amx_kernels().scratch_size};
  for (const Layer& l : {Layer{1, 10, 10, 64, 64, 3, 1, 1}, Layer{1, 80, 80, 64, 128, 3, 2, 1},
                         Layer{1, 20, 20, 256, 256, 1, 1, 0}, Layer{1, 40, 40, 48, 96, 1, 1, 0},
                         Layer{1, 5, 5, 1024, 512, 1, 1, 0}, Layer{1, 6, 1, 32, 277, 1, 1, 0},
                         Layer{1, 40, 40, 34, 96, 1, 1, 0}, Layer{1, 40, 40, 68, 96, 1, 1, 0}}) {
    for (const auto scratch_size : sizes) {
      int64_t last = 0;
      for (int64_t batch = 1; batch < 20; ++batch) {
        Layer larger = l;
        larger.batch = batch;
        const DirectConv conv = conv_of(larger);
        const int64_t size = scratch_size(conv, 2);
        CHECK(size >= last);
        CHECK(scratch_size(conv, 16) >= 8 * size);
        last = size;
      }
    }
  }
}

TEST_CASE("conv_amx: the gradient of weights is the sum of its groups, begun as NaN") {
  for (const Layer& l : kLayers) {
    Rng rng(33);
    const Conv2dOptions options = l.options();
    const Tensor x = rounded(rng.uniform({l.batch, l.height, l.width, l.in_channels}, -1, 1));
    const Shape shape{l.out_channels, l.kernel, l.kernel, l.in_channels};
    const Conv2dGeometry g = conv2d_geometry(x.shape(), shape, options);
    const Tensor grad_y = rounded(rng.uniform(g.output_shape(), -1, 1));
    const Tensor expected = Tensor::full(shape, 0).to(DType::kFloat64);
    const Tensor expected_bias = Tensor::full({l.out_channels}, 0).to(DType::kFloat64);
    conv2d_backward_weight(d(grad_y), d(x), options, expected, expected_bias);
    INFO(x.str() << " -> " << grad_y.str() << " kernel " << l.kernel << " stride " << l.stride);
    for (const AmxGradKernels* way : ways(cpu_base::amx_grad_kernels(), amx_grad_kernels())) {
      for (const int64_t threads : {1, 3}) {
        const AmxGradTask task = way->plan({.batch = l.batch,
                                            .in_height = l.height,
                                            .in_width = l.width,
                                            .in_channels = l.in_channels,
                                            .out_height = g.out_height(),
                                            .out_width = g.out_width(),
                                            .out_channels = l.out_channels,
                                            .kernel = l.kernel,
                                            .stride = l.stride,
                                            .padding = l.padding},
                                           threads);
        const int64_t weights = shape.numel(), step = weights + l.out_channels;
        CHECK(task.scratch * int64_t(sizeof(float)) % 64 == 0);  // the next thread's begins there
        std::vector<float> scratch = nan_floats(task.scratch);
        // One group adds to what is there, several write what is theirs.
        std::vector<float> groups = nan_floats(task.groups * step);
        if (task.groups == 1) std::fill(groups.begin(), groups.end(), 0.0f);
        for (int64_t unit = task.num_units(); unit-- > 0;) {
          way->run_units(task, x.data<BFloat16>(), grad_y.data<BFloat16>(), unit, unit + 1,
                         scratch.data(), groups.data(), groups.data() + weights, step);
        }
        const Tensor sum = Tensor::full(shape, 0), bias = Tensor::full({l.out_channels}, 0);
        for (int64_t group = 0; group < task.groups; ++group) {
          const float* const from = groups.data() + group * step;
          for (int64_t i = 0; i < weights; ++i) sum.data<float>()[i] += from[i];
          for (int64_t o = 0; o < l.out_channels; ++o) bias.data<float>()[o] += from[weights + o];
        }
        CHECK(worst_relative(bias, expected_bias) < 1e-5);
        CHECK(worst_relative(sum, expected) < 1e-5);
      }
    }
  }
}

}  // namespace
}  // namespace ydistill
