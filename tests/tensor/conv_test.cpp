// SPDX-License-Identifier: MIT
// The library's float32 and bfloat16 convolutions against the plain loops in float64, which are the
// definition; the plain loops against finite differences (tests/layers) and a sum done by hand
// (here).
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_native.h>
#include <ydistill/tensor/conv_reference.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include <cmath>
#include <cstring>
#include <span>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

using test::worst_relative;

struct Case {
  int64_t batch, size, in_channels, out_channels, kernel, stride, padding;
};

// Kinds of layers a YOLOv5 has: stem, 3x3 with both strides, 1x1, head with odd channels.
const Case kCases[] = {{2, 12, 12, 32, 3, 1, 1},
                       {1, 9, 32, 64, 3, 2, 1},
                       {2, 8, 16, 24, 1, 1, 0},
                       {2, 5, 64, 75, 1, 1, 0},
                       {1, 16, 3, 16, 6, 2, 2},
                       {1, 7, 1, 1, 3, 1, 1},
                       {3, 6, 40, 8, 3, 1, 1},
                       {1, 6, 64, 128, 1, 1, 0},
                       {1, 6, 32, 32, 3, 1, 1},
                       // Several tiles, the last of them in part; 16 channels fill half a panel.
                       {2, 21, 16, 48, 3, 1, 1},
                       {1, 1, 32, 16, 3, 1, 1},
                       {2, 13, 48, 80, 3, 2, 1},
                       {1, 11, 16, 32, 6, 2, 2},
                       {1, 9, 16, 16, 5, 1, 2},
                       {1, 8, 16, 16, 4, 3, 1},
                       {1, 6, 16, 16, 3, 1, 0},
                       // More products than are summed in one go; many tiles of a chunk.
                       {1, 14, 80, 96, 3, 2, 1},
                       {1, 5, 700, 40, 1, 1, 0},
                       {1, 23, 66, 64, 3, 1, 1},
                       {2, 11, 64, 64, 3, 1, 1}};

bool same_bits(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.raw(), b.raw(), size_t(a.nbytes())) == 0;
}

// Sums of up to 32 * 9 * 144 products in float32 with random signs.
constexpr double kFloat32Tolerance = 5e-6;
constexpr double kBFloat16Tolerance = 1.01 / 256;  // of a result rounded once

TEST_CASE("conv2d: float32 in three directions agrees with the float64 loops") {
  for (const Case& c : kCases) {
    const Conv2dOptions options{c.stride, c.padding};
    Rng rng(11);
    const Tensor x = rng.uniform({c.batch, c.size, c.size + 2, c.in_channels}, -1, 1);
    const Tensor w = rng.uniform({c.out_channels, c.kernel, c.kernel, c.in_channels}, -1, 1);
    const Tensor bias = rng.uniform({c.out_channels}, -1, 1);
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
    const Tensor grad_y = rng.uniform(g.output_shape(), -1, 1);
    INFO(x.str() << " * " << w.str());
    const auto d = [](const Tensor& t) { return t.to(DType::kFloat64); };

    PackedWeights packed;
    for (const uint64_t version : {0, 1, 1}) {  // packed anew, packed and kept, taken from the copy
      CHECK(worst_relative(conv2d_forward(x, w, bias, options, &packed, version),
                           conv2d_forward(d(x), d(w), d(bias), options)) < kFloat32Tolerance);
      CHECK(worst_relative(
                conv2d_backward_input(grad_y, w, x.shape(), x.dtype(), options, &packed, version),
                conv2d_backward_input(d(grad_y), d(w), x.shape(), DType::kFloat64, options)) <
            kFloat32Tolerance);
    }
    const Tensor start_w = rng.uniform(w.shape(), -1, 1),
                 start_b = rng.uniform(bias.shape(), -1, 1);
    const Tensor grad_w = start_w.clone(), grad_b = start_b.clone();
    const Tensor grad_w64 = d(start_w), grad_b64 = d(start_b);
    conv2d_backward_weight(grad_y, x, options, grad_w, grad_b);
    conv2d_backward_weight(d(grad_y), d(x), options, grad_w64, grad_b64);
    CHECK(worst_relative(grad_w, grad_w64) < kFloat32Tolerance);
    CHECK(worst_relative(grad_b, grad_b64) < kFloat32Tolerance);
    const Tensor without_bias = start_w.clone();
    conv2d_backward_weight(grad_y, x, options, without_bias, {});
    CHECK(worst_relative(without_bias, grad_w64) < kFloat32Tolerance);
  }
}

// Operands are rounded beforehand, weights too; what is left is the rounding of the result by
// 2^-8 of itself at most, and of sums in float32.
TEST_CASE("conv2d: bfloat16 in three directions agrees with the float64 loops") {
  const auto rounded = [](const Tensor& t) { return t.to(DType::kBFloat16); };
  const auto d = [](const Tensor& t) { return t.to(DType::kFloat64); };
  for (const Case& c : kCases) {
    const Conv2dOptions options{c.stride, c.padding};
    Rng rng(12);
    const Tensor x = rounded(rng.uniform({c.batch, c.size, c.size + 2, c.in_channels}, -1, 1));
    const Tensor w =
        rounded(rng.uniform({c.out_channels, c.kernel, c.kernel, c.in_channels}, -1, 1))
            .to(DType::kFloat32);
    const Tensor bias = rng.uniform({c.out_channels}, -1, 1);
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
    const Tensor grad_y = rounded(rng.uniform(g.output_shape(), -1, 1));
    INFO(x.str() << " * " << w.str());

    const Tensor y = conv2d_forward(x, w, {}, options);
    CHECK(y.dtype() == DType::kBFloat16);
    CHECK(worst_relative(y, conv2d_forward(d(x), d(w), {}, options)) < kBFloat16Tolerance);
    const Tensor logits = conv2d_forward(x, w, bias, options);
    CHECK(logits.dtype() == DType::kFloat32);
    const Tensor expected = conv2d_forward(d(x), d(w), d(bias), options);
    CHECK(worst_relative(logits, expected) < kFloat32Tolerance);
    const Tensor biased = conv2d_forward_as(DType::kBFloat16, x, w, bias, options, nullptr, 0);
    CHECK(worst_relative(biased, expected) < kBFloat16Tolerance);

    const Tensor grad_x =
        conv2d_backward_input(grad_y.to(DType::kFloat32), w, x.shape(), x.dtype(), options);
    CHECK(grad_x.dtype() == DType::kBFloat16);
    CHECK(worst_relative(grad_x, conv2d_backward_input(d(grad_y), d(w), x.shape(), DType::kFloat64,
                                                       options)) < kBFloat16Tolerance);
    const Tensor grad_w = Tensor::full(w.shape(), 1), grad_b = Tensor::full(bias.shape(), 1);
    const Tensor grad_w64 = d(grad_w).clone(), grad_b64 = d(grad_b).clone();
    conv2d_backward_weight(grad_y, x, options, grad_w, grad_b);
    conv2d_backward_weight(d(grad_y), d(x), options, grad_w64, grad_b64);
    CHECK(worst_relative(grad_w, grad_w64) < kFloat32Tolerance);
    CHECK(worst_relative(grad_b, grad_b64) < kFloat32Tolerance);
  }
}

TEST_CASE("conv2d: with SiLU and a residual in one pass it is what the passes give one by one") {
  const auto rounded = [](const Tensor& t) { return t.to(DType::kBFloat16).to(DType::kFloat32); };
  for (const Case& c : kCases) {
    const Conv2dOptions options{c.stride, c.padding};
    Rng rng(13);
    const Tensor x = rounded(rng.uniform({c.batch, c.size, c.size + 2, c.in_channels}, -1, 1));
    const Tensor w = rng.uniform({c.out_channels, c.kernel, c.kernel, c.in_channels}, -0.1, 0.1);
    const Tensor bias = rng.uniform({c.out_channels}, -1, 1);
    const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
    const Tensor added = rounded(rng.uniform(g.output_shape(), -1, 1));
    INFO(x.str() << " * " << w.str());
    const auto d = [](const Tensor& t) { return t.to(DType::kFloat64); };
    for (const Tensor& residual : {Tensor(), added}) {
      const Tensor expected = conv2d_forward(d(x), d(w), d(bias), options);
      for (int64_t i = 0; i < expected.numel(); ++i) {
        const double z = expected.at(i);
        expected.data<double>()[i] =
            z / (1 + std::exp(-z)) + (residual.defined() ? residual.at(i) : 0);
      }
      // Numbers of float32, rounded to bfloat16 beforehand, so that one expectation serves both.
      for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
        PackedWeights packed;
        const double limit = dtype == DType::kBFloat16 ? kBFloat16Tolerance : kFloat32Tolerance;
        const Tensor added_as = residual.defined() ? residual.to(dtype) : Tensor();
        for (const uint64_t version : {1, 1}) {
          const Tensor y = conv2d_bias_silu_in_one_pass(x.to(dtype), w, bias, added_as, options,
                                                        &packed, version);
          if (native::takes(ConvDirection::kForward, g, dtype, true)) REQUIRE(y.defined());
          if (!y.defined()) continue;
          CHECK(y.dtype() == dtype);
          CHECK(worst_relative(y, expected) < limit);
        }
      }
    }
  }
}

TEST_CASE("conv2d: written beside other channels it has the same bits, and those stay") {
  for (const Case& c : kCases) {
    const Conv2dOptions options{c.stride, c.padding};
    Rng rng(16);
    const Tensor w = rng.uniform({c.out_channels, c.kernel, c.kernel, c.in_channels}, -0.1, 0.1);
    const Tensor bias = rng.uniform({c.out_channels}, -1, 1);
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      const Tensor x = rng.uniform({c.batch, c.size, c.size, c.in_channels}, -1, 1).to(dtype);
      const Shape shape = conv2d_geometry(x.shape(), w.shape(), options).output_shape();
      const Tensor added = rng.uniform(shape, -1, 1).to(dtype);
      INFO(x.str() << " * " << w.str());
      for (const Tensor& residual : {Tensor(), added}) {
        constexpr int64_t kBefore = 3, kBehind = 5;
        const int64_t channels = kBefore + c.out_channels + kBehind;
        const ChannelSlice to{Tensor::full({shape[0], shape[1], shape[2], channels}, 7).to(dtype),
                              kBefore};
        PackedWeights packed;
        const bool is_done =
            conv2d_bias_silu_in_one_pass(x, w, bias, residual, options, &packed, 1, to);
        const Tensor alone =
            conv2d_bias_silu_in_one_pass(x, w, bias, residual, options, &packed, 1);
        for (int64_t i = 0; i < to.whole.numel(); ++i) {
          const int64_t channel = i % channels - kBefore;
          const bool is_ours = is_done && channel >= 0 && channel < c.out_channels;
          REQUIRE(to.whole.at(i) ==
                  (is_ours ? alone.at(i / channels * c.out_channels + channel) : 7));
        }
      }
    }
  }
}

TEST_CASE("conv2d: a slice that the output does not fit is refused") {
  const Tensor x = Tensor::zeros({1, 4, 4, 8}), w = Tensor::zeros({6, 1, 1, 8});
  const auto write = [&](const Tensor& whole, int64_t first) {
    conv2d_bias_silu_in_one_pass(x, w, {}, {}, {}, nullptr, 0, {whole, first});
  };
  CHECK_THROWS_WITH_TEXT(write(Tensor::zeros({1, 4, 4, 10}), 5), ShapeError,
                         "an output [1,4,4,6] does not fit into");
  CHECK_THROWS_WITH_TEXT(write(Tensor::zeros({1, 4, 5, 10}), 0), ShapeError, "from channel 0 on");
  CHECK_THROWS_AS(write(Tensor::zeros({1, 4, 4, 10}, DType::kFloat64), 0), DTypeError);
}

TEST_CASE("conv2d: weights that are kept serve float32 and bfloat16 in turn") {
  for (const int64_t kernel : {1, 3}) {
    const Conv2dOptions options{1, kernel / 2};
    Rng rng(16);
    const auto rounded = [](const Tensor& t) { return t.to(DType::kBFloat16).to(DType::kFloat32); };
    const Tensor x = rounded(rng.uniform({1, 9, 9, 64}, -1, 1));
    const Tensor w = rounded(rng.uniform({64, kernel, kernel, 64}, -0.1, 0.1));
    const Tensor bias = rng.uniform({64}, -1, 1);
    const auto d = [](const Tensor& t) { return t.to(DType::kFloat64); };
    const Tensor expected = conv2d_forward(d(x), d(w), d(bias), options);
    for (double& z : std::span(expected.data<double>(), size_t(expected.numel()))) {
      z /= 1 + std::exp(-z);
    }
    PackedWeights packed;
    for (const DType dtype :
         {DType::kFloat32, DType::kBFloat16, DType::kFloat32, DType::kBFloat16}) {
      INFO(kernel << "x" << kernel << " " << name_of(dtype));
      const Tensor y = conv2d_bias_silu_in_one_pass(x.to(dtype), w, bias, {}, options, &packed, 1);
      if (!y.defined()) continue;
      CHECK(worst_relative(y, expected) <
            (dtype == DType::kBFloat16 ? kBFloat16Tolerance : kFloat32Tolerance));
    }
  }
}

TEST_CASE("conv2d: weights that are kept serve pictures of every size") {
  for (const int64_t stride : {1, 2}) {
    const Conv2dOptions options{stride, 1};
    Rng rng(15);
    const Tensor w = rng.uniform({32, 3, 3, 16}, -0.1, 0.1), bias = rng.uniform({32}, -1, 1);
    PackedWeights packed;
    for (const int64_t size : {4, 80, 9}) {
      const Tensor x = rng.uniform({1, size, size, 16}, -1, 1);
      INFO(x.str() << " stride " << stride);
      const Tensor y = conv2d_bias_silu_in_one_pass(x, w, bias, {}, options, &packed, 1);
      if (!y.defined()) continue;
      const auto d = [](const Tensor& t) { return t.to(DType::kFloat64); };
      const Tensor expected = conv2d_forward(d(x), d(w), d(bias), options);
      for (double& z : std::span(expected.data<double>(), size_t(expected.numel()))) {
        z /= 1 + std::exp(-z);
      }
      CHECK(worst_relative(y, expected) < kFloat32Tolerance);
    }
  }
}

TEST_CASE("conv2d: our own kernels give the same bits with any number of threads") {
  const int threads = num_threads();
  for (const Case& c : kCases) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      const Conv2dOptions options{c.stride, c.padding};
      Rng rng(14);
      const Tensor x = rng.uniform({c.batch, c.size, c.size + 2, c.in_channels}, -1, 1).to(dtype);
      const Tensor w = rng.uniform({c.out_channels, c.kernel, c.kernel, c.in_channels}, -1, 1);
      const Conv2dGeometry g = conv2d_geometry(x.shape(), w.shape(), options);
      const Tensor grad_y = rng.uniform(g.output_shape(), -1, 1).to(dtype);
      const auto takes = [&](ConvDirection direction) {
        return native::takes(direction, g, dtype);
      };
      INFO(x.str() << " * " << w.str());
      set_num_threads(1);
      const Tensor y = conv2d_forward(x, w, {}, options);
      const Tensor grad_x = conv2d_backward_input(grad_y, w, x.shape(), dtype, options);
      const auto grad_w = [&] {
        const Tensor sum = Tensor::full(w.shape(), 1);
        conv2d_backward_weight(grad_y, x, options, sum, {});
        return sum;
      };
      const Tensor grad = grad_w();
      for (const int n : {2, 3, 5}) {
        set_num_threads(n);
        if (takes(ConvDirection::kForward)) {
          CHECK(same_bits(conv2d_forward(x, w, {}, options), y));
        }
        if (takes(ConvDirection::kBackwardInput)) {
          CHECK(same_bits(conv2d_backward_input(grad_y, w, x.shape(), dtype, options), grad_x));
        }
        if (takes(ConvDirection::kBackwardWeight)) CHECK(same_bits(grad_w(), grad));
      }
    }
  }
  set_num_threads(threads);
}

TEST_CASE("conv2d: packed weights follow the version") {
  const Tensor x = Tensor::full({1, 4, 4, 16}, 1);
  const Tensor w = Tensor::full({16, 1, 1, 16}, 1);
  PackedWeights packed;
  CHECK(conv2d_forward(x, w, {}, {}, &packed, 1).at(0) == 16);
  w.fill(2);
  CHECK(conv2d_forward(x, w, {}, {}, &packed, 2).at(0) == 32);
}

TEST_CASE("conv2d: a sum done by hand") {
  // 3x3 ones on a 3x3 picture of ones: 4 at corners, 6 at edges, 9 in the middle.
  const Tensor y = conv2d_forward(Tensor::full({1, 3, 3, 1}, 1, DType::kFloat64),
                                  Tensor::full({1, 3, 3, 1}, 1, DType::kFloat64), {}, {1, 1});
  const double expected[] = {4, 6, 4, 6, 9, 6, 4, 6, 4};
  for (int64_t i = 0; i < 9; ++i) CHECK(y.at(i) == expected[i]);
}

TEST_CASE("conv2d: wrong operands are refused by name") {
  const Tensor x = Tensor::zeros({8, 80, 80, 32});
  CHECK_THROWS_WITH_TEXT(conv2d_forward(x, Tensor::zeros({64, 3, 3, 16}), {}, {1, 1}), ShapeError,
                         "weight [64,3,3,16] needs 16 input channels");
  CHECK_THROWS_WITH_TEXT(
      conv2d_forward(x, Tensor::zeros({64, 3, 3, 32}), Tensor::zeros({3}), {1, 1}), ShapeError,
      "64 output channels need [64]");
  CHECK_THROWS_WITH_TEXT(
      conv2d_forward(Tensor::zeros({1, 4, 4, 0}), Tensor::zeros({8, 1, 1, 0}), {}, {}), ShapeError,
      "weight [8,1,1,0] has no numbers");
  CHECK_THROWS_AS(conv2d_forward(x, Tensor::zeros({64, 3, 3, 32}, DType::kFloat64), {}, {1, 1}),
                  DTypeError);
  CHECK_THROWS_WITH_TEXT(
      conv2d_forward(Tensor::zeros({1, 2, 2, 3}), Tensor::zeros({4, 6, 6, 3}), {}, {2, 1}),
      ShapeError, "smaller than the kernel 6x6");
}

TEST_CASE("conv2d: an empty batch gives an empty output") {
  CHECK(conv2d_forward(Tensor::zeros({0, 4, 4, 8}), Tensor::zeros({8, 3, 3, 8}), {}, {1, 1})
            .shape() == Shape{0, 4, 4, 8});
}

TEST_CASE("conv2d: the plan report names geometry and kernel") {
  conv2d_forward(Tensor::zeros({1, 4, 4, 8}), Tensor::zeros({8, 3, 3, 8}), {}, {1, 1});
  if (conv_backend_name().find("oneDNN") == std::string::npos) YD_SKIP("this build has no oneDNN");
  const auto report = conv_plan_report();
  CHECK(std::any_of(report.begin(), report.end(), [](const std::string& line) {
    return line.find("[1,4,4,8] -> [1,4,4,8], 3x3 stride 1, forward: ") == 0;
  }));
}

}  // namespace
}  // namespace ydistill
