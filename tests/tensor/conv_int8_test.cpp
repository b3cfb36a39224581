// SPDX-License-Identifier: MIT
// Convolution in 8 bits against its definition: exact sums, then the formulas in float64. Which
// kernels run depends on the level, YDISTILL_INT8_DOTS and YDISTILL_AMX; ctest runs the cases under
// each.
#include <ydistill/tensor/conv_int8.h>
#include <ydistill/tensor/conv_int8_kernels.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <vector>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

using test::worse;

struct Layer {
  int64_t batch, height, width, in_channels, out_channels, kernel, stride, padding;
  Conv2dOptions options() const { return {stride, padding}; }
};

const Layer kLayers[] = {
    {2, 9, 11, 32, 64, 1, 1, 0},    // several panels
    {1, 12, 40, 12, 32, 3, 1, 1},   // the stem
    {2, 15, 14, 64, 33, 3, 2, 1},   // a channel more than a panel
    {1, 13, 10, 8, 4, 3, 1, 1},     // less than a vector
    {1, 7, 6, 16, 16, 3, 1, 1},     // half a panel at 16 lanes
    {1, 1, 1, 16, 5, 3, 1, 1},      // mostly border
    {1, 9, 9, 4, 24, 5, 2, 2},      // one number a pixel
    {1, 20, 20, 512, 32, 1, 1, 0},  // summed in several goes
    {1, 33, 34, 160, 48, 3, 1, 1},  // the same with borders, several chunks
    {3, 6, 5, 20, 255, 1, 1, 0},    // a head
    {1, 8, 9, 12, 20, 2, 1, 0},    {2, 11, 8, 8, 16, 4, 3, 3},
    {1, 14, 13, 8, 40, 6, 2, 2},   {1, 21, 18, 148, 36, 3, 2, 2},  // in several goes, with stride
    {2, 9, 11, 96, 48, 1, 1, 0},   // AMX: in place in two steps, a panel and a half
    {1, 5, 9, 68, 32, 1, 1, 0},    // copied, since 68 has no two steps of a multiple of 4
    {1, 70, 66, 64, 32, 3, 1, 1},  // several chunks
};

const Int8Edges kEdges{{0.031f, 9}, {0.03f, 80}, {0.012f, 121}};

Tensor random_bytes(const Shape& shape, uint64_t seed) {
  const Tensor bytes = Tensor::empty(shape, DType::kUInt8);
  Rng rng(seed);
  const Tensor numbers = rng.uniform(shape, 0, 256);
  for (int64_t i = 0; i < bytes.numel(); ++i) bytes.data<uint8_t>()[i] = uint8_t(numbers.at(i));
  return bytes;
}

struct Case {
  Layer layer;
  Tensor x, weight, bias, residual;
  Conv2dGeometry g;
};

Case make_case(const Layer& l, uint64_t seed) {
  Case c{l, {}, {}, {}, {}, {}};
  c.x = random_bytes({l.batch, l.height, l.width, l.in_channels}, seed);
  Rng rng(seed + 100);
  c.weight = rng.uniform({l.out_channels, l.kernel, l.kernel, l.in_channels}, -0.02, 0.02);
  c.bias = rng.uniform({l.out_channels}, -1, 1);
  c.g = conv2d_geometry(c.x.shape(), c.weight.shape(), l.options());
  c.residual = random_bytes(c.g.output_shape(), seed + 200);
  return c;
}

/// convolution + bias by the definition of Int8Conv, [N,OH,OW,O].
std::vector<double> definition(const Case& c) {
  const Conv2dGeometry& g = c.g;
  const int64_t window = g.kernel * g.kernel * g.in_channels;
  std::vector<double> scales;
  std::vector<int64_t> rounded;
  for (int64_t o = 0; o < g.out_channels; ++o) {
    float largest = 0;
    for (int64_t k = 0; k < window; ++k) {
      largest = std::max(largest, std::abs(float(c.weight.at(o * window + k))));
    }
    const float scale = largest / 127;
    scales.push_back(scale);
    for (int64_t k = 0; k < window; ++k) {
      rounded.push_back(std::lround(float(c.weight.at(o * window + k)) / scale));
    }
  }
  std::vector<double> y;
  const uint8_t* const x = c.x.data<uint8_t>();
  for (int64_t n = 0; n < g.batch; ++n) {
    for (int64_t i = 0; i < g.out_height(); ++i) {
      for (int64_t j = 0; j < g.out_width(); ++j) {
        for (int64_t o = 0; o < g.out_channels; ++o) {
          int64_t sum = 0;
          for (int64_t p = 0; p < g.kernel; ++p) {
            for (int64_t q = 0; q < g.kernel; ++q) {
              const int64_t row = i * g.options.stride + p - g.options.padding;
              const int64_t column = j * g.options.stride + q - g.options.padding;
              if (row < 0 || row >= g.in_height || column < 0 || column >= g.in_width) continue;
              for (int64_t k = 0; k < g.in_channels; ++k) {
                const int64_t byte =
                    x[((n * g.in_height + row) * g.in_width + column) * g.in_channels + k];
                sum += (byte - kEdges.x.zero_point) *
                       rounded[size_t(((o * g.kernel + p) * g.kernel + q) * g.in_channels + k)];
              }
            }
          }
          y.push_back(double(sum) * kEdges.x.scale * scales[size_t(o)] + c.bias.at(o));
        }
      }
    }
  }
  return y;
}

double as_steps(double real) {
  return std::clamp(real / kEdges.y.scale + kEdges.y.zero_point, 0.0, 255.0);
}

TEST_CASE("conv_int8: sums are exact and the logits those of the definition") {
  for (const Layer& layer : kLayers) {
    const Case c = make_case(layer, 1);
    const Tensor y = Int8Conv("c", c.weight, c.bias, layer.options(), kEdges).logits(c.x);
    REQUIRE(y.shape() == c.g.output_shape());
    const std::vector<double> expected = definition(c);
    double worst = 0;
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double wanted = expected[size_t(i)];
      worst = worse(worst, std::abs(y.at(i) - wanted) / (std::abs(wanted) + 1));
    }
    INFO(c.x.str() << " by " << c.weight.str());
    CHECK(worst < 1e-6);
  }
}

TEST_CASE("conv_int8: SiLU and residual are those of the definition to the byte or its neighbour") {
  for (const Layer& layer : kLayers) {
    for (const bool with_residual : {false, true}) {
      const Case c = make_case(layer, 2);
      const Tensor residual = with_residual ? c.residual : Tensor();
      const Tensor y =
          Int8Conv("c", c.weight, c.bias, layer.options(), kEdges).bias_silu(c.x, residual);
      const std::vector<double> sums = definition(c);
      double worst = 0;
      int64_t limited = 0;
      for (int64_t i = 0; i < y.numel(); ++i) {
        double real = sums[size_t(i)] / (1 + std::exp(-sums[size_t(i)]));
        if (with_residual) {
          real +=
              kEdges.residual.scale * (c.residual.data<uint8_t>()[i] - kEdges.residual.zero_point);
        }
        const double steps = as_steps(real);
        limited += steps == 0 || steps == 255;
        worst = worse(worst, std::abs(double(y.data<uint8_t>()[i]) - steps));
      }
      INFO(c.x.str() << " by " << c.weight.str() << (with_residual ? " with residual" : ""));
      CHECK(worst < 0.55);  // rounding takes half a step, the fast SiLU a little
      CHECK(limited < y.numel() / 2);
    }
  }
}

TEST_CASE("conv_int8: SiLU is close to the definition far beyond where it bends") {
  constexpr int64_t kChannels = 4032;  // panels of each way, the last 31 far out
  const Tensor biases = Tensor::empty({kChannels});
  for (int64_t o = 0; o < kChannels; ++o)
    biases.data<float>()[o] = float(o <= 4000 ? (o - 2000) / 100.0 : o % 2 == 0 ? 1e5 : -1e5);
  const Tensor x = random_bytes({1, 1, 2, 4}, 9);
  for (const double high : {1.0, 6.0, 20.0}) {
    const Quantization range = quantization_of(-0.278, high);
    const Tensor y =
        Int8Conv("c", Tensor::zeros({kChannels, 1, 1, 4}), biases, {}, {{0.01f, 0}, range, {}})
            .bias_silu(x);
    double inside = 0, outside = 0;  // in the units of SiLU
    for (int64_t i = 0; i < y.numel(); ++i) {
      const double b = biases.at(i % kChannels), wanted = b / (1 + std::exp(-b));
      const double steps = std::clamp(wanted / range.scale + range.zero_point, 0.0, 255.0);
      const double off =
          (std::abs(double(y.data<uint8_t>()[i]) - steps) - 0.5) * double(range.scale);
      double& worst = std::abs(b) <= 8 ? inside : outside;
      worst = worse(worst, off);
    }
    INFO("up to " << high);
    CHECK(inside < 3e-4);
    CHECK(outside < 1.4e-3);
  }
}

TEST_CASE("conv_int8: outputs of any size are limited to 255") {
  // More steps than 32 bits hold, and none for NaN.
  for (const float most : {1e8f, 1e30f, 3e38f}) {
    const Tensor biases = Tensor::empty({36});
    for (int64_t o = 0; o < 36; ++o) biases.data<float>()[o] = o % 3 == 0 ? most : float(-o);
    const Quantization range = quantization_of(-0.278, 1);
    const Int8Conv conv("c", Tensor::full({36, 1, 1, 8}, 2), biases, {}, {{1, 0}, range, {}});
    const Tensor x = random_bytes({1, 6, 6, 8}, 10);
    std::fill_n(x.data<uint8_t>(), 8, uint8_t(0));
    const Tensor y = conv.bias_silu(x);
    for (int64_t i = 0; i < y.numel(); ++i) {
      if (i % 36 % 3 == 0) REQUIRE(int(y.data<uint8_t>()[i]) == 255);
    }
    CHECK(int(y.data<uint8_t>()[35]) == range.zero_point);  // silu(-35), where x is 0
  }
}

TEST_CASE("conv_int8: a residual below zero brings large outputs of SiLU back into the range") {
  const Int8Edges edges{{0.01f, 0}, quantization_of(-0.278, 1), quantization_of(-6, 0.5)};
  constexpr int64_t kChannels = 64;
  const Tensor biases = Tensor::empty({kChannels});
  for (int64_t o = 0; o < kChannels; ++o) biases.data<float>()[o] = float(o) / 8;
  const Tensor x = random_bytes({1, 5, 8, 4}, 11);
  const Tensor residual = random_bytes({1, 5, 8, kChannels}, 12);
  const Tensor y =
      Int8Conv("c", Tensor::zeros({kChannels, 1, 1, 4}), biases, {}, edges).bias_silu(x, residual);
  double worst = 0;
  for (int64_t i = 0; i < y.numel(); ++i) {
    const double b = biases.at(i % kChannels);
    const double real = b / (1 + std::exp(-b)) + edges.residual.real(residual.data<uint8_t>()[i]);
    const double steps = std::clamp(real / edges.y.scale + edges.y.zero_point, 0.0, 255.0);
    worst = worse(worst, std::abs(double(y.data<uint8_t>()[i]) - steps));
  }
  CHECK(worst < 0.56);
}

TEST_CASE("conv_int8: a copy outlives what it was copied from") {
  const Case c = make_case(kLayers[0], 13);
  auto conv = std::make_unique<Int8Conv>("c", c.weight, c.bias, c.layer.options(), kEdges);
  const Tensor before = conv->bias_silu(c.x);
  const Int8Conv copy = *conv;
  conv.reset();
  const Tensor after = copy.bias_silu(c.x);
  CHECK(std::equal(before.raw(), before.raw() + before.nbytes(), after.raw()));
}

TEST_CASE("conv_int8: a slice gets the bytes of the whole output and what lies beside stays") {
  for (const Layer& layer : kLayers) {
    const Case c = make_case(layer, 3);
    const Int8Conv conv("c", c.weight, c.bias, layer.options(), kEdges);
    const Tensor alone = conv.bias_silu(c.x, c.residual);
    const Shape s = c.g.output_shape();
    const Tensor whole = Tensor::empty({s[0], s[1], s[2], s[3] + 9}, DType::kUInt8);
    std::fill_n(whole.data<uint8_t>(), whole.numel(), uint8_t(77));
    conv.bias_silu({whole, 5}, c.x, c.residual);
    int64_t different = 0;
    for (int64_t i = 0; i < whole.numel(); ++i) {
      const int64_t channel = i % (s[3] + 9) - 5, pixel = i / (s[3] + 9);
      const bool inside = channel >= 0 && channel < s[3];
      const uint8_t wanted = inside ? alone.data<uint8_t>()[pixel * s[3] + channel] : uint8_t(77);
      different += whole.data<uint8_t>()[i] != wanted;
    }
    CHECK(different == 0);
  }
}

TEST_CASE("conv_int8: the largest products do not overflow") {
  // 255 times 127 in every place, which 16 bits cannot hold twice.
  const Tensor x = Tensor::empty({1, 3, 3, 64}, DType::kUInt8);
  std::fill_n(x.data<uint8_t>(), x.numel(), uint8_t(255));
  for (const double sign : {1.0, -1.0}) {
    const Tensor weight = Tensor::full({16, 3, 3, 64}, sign * 127);
    const Tensor y = Int8Conv("c", weight, {}, {1, 0}, {{1, 0}, {}, {}}).logits(x);
    for (int64_t i = 0; i < y.numel(); ++i) CHECK(y.at(i) == sign * 255 * 127 * 9 * 64);
  }
}

TEST_CASE("conv_int8: the same bytes with any number of threads") {
  const int threads = num_threads();
  for (const Layer& layer : kLayers) {
    const Case c = make_case(layer, 4);
    const Int8Conv conv("c", c.weight, c.bias, layer.options(), kEdges);
    set_num_threads(1);
    const Tensor one = conv.bias_silu(c.x, c.residual);
    for (const int n : {2, 5}) {
      set_num_threads(n);
      const Tensor several = conv.bias_silu(c.x, c.residual);
      CHECK(std::equal(one.raw(), one.raw() + one.nbytes(), several.raw()));
    }
  }
  set_num_threads(threads);
}

TEST_CASE("conv_int8: a picture's outputs do not depend on its place in the batch") {
  // Tiles cover a few pixels of each picture; a sum that is rounded once in one place of a tile and
  // twice in another shows as a byte here and there.
  const Layer layers[] = {{3, 160, 120, 32, 64, 3, 2, 1}, {3, 80, 60, 32, 32, 1, 1, 0},
                          {3, 80, 60, 16, 16, 3, 1, 1},   {3, 40, 30, 128, 128, 1, 1, 0},
                          {3, 40, 31, 32, 48, 3, 1, 1},   {3, 20, 15, 64, 255, 1, 1, 0}};
  for (const Layer& layer : layers) {
    const Case c = make_case(layer, 9);
    for (const Tensor& t : {c.x, c.residual}) {
      const int64_t bytes = t.nbytes() / layer.batch;
      for (int64_t n = 1; n < layer.batch; ++n) std::memcpy(t.raw() + n * bytes, t.raw(), bytes);
    }
    const Int8Conv conv("c", c.weight, c.bias, layer.options(), kEdges);
    for (const Tensor& y :
         {conv.bias_silu(c.x), conv.bias_silu(c.x, c.residual), conv.logits(c.x)}) {
      const int64_t bytes = y.nbytes() / layer.batch;
      for (int64_t n = 1; n < layer.batch; ++n) {
        int64_t different = 0;
        for (int64_t i = 0; i < bytes; ++i) different += y.raw()[n * bytes + i] != y.raw()[i];
        CHECK(different == 0);
      }
    }
  }
}

TEST_CASE("conv_int8: a channel whose weights are all zero gives its bias") {
  const Tensor x = random_bytes({1, 2, 2, 8}, 5);
  const Tensor y =
      Int8Conv("c", Tensor::zeros({3, 1, 1, 8}), Tensor::of({3}, {1, -2, 0.5}), {}, kEdges)
          .logits(x);
  for (int64_t i = 0; i < y.numel(); ++i) {
    const double biases[] = {1, -2, 0.5};
    CHECK(y.at(i) == biases[i % 3]);
  }
}

TEST_CASE("conv_int8: means of the inputs make up for what rounding the weights takes") {
  // Of constant pictures without borders nothing but the rounding of the sums is left.
  const int64_t channels = 24;
  Rng rng(12);
  const Tensor weight = rng.uniform({8, 1, 1, channels}, -1, 1);
  const Tensor x = Tensor::empty({1, 2, 2, channels}, DType::kUInt8);
  std::vector<float> means;
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t i = 0; i < 4; ++i) x.data<uint8_t>()[i * channels + c] = uint8_t(10 * c);
    means.push_back(kEdges.x.real(uint8_t(10 * c)));
  }
  const Tensor real = Tensor::empty(x.shape());
  for (int64_t i = 0; i < x.numel(); ++i) {
    real.data<float>()[i] = kEdges.x.real(x.data<uint8_t>()[i]);
  }
  const Tensor expected = conv2d_forward(real, weight, {}, {});
  const Tensor plain = Int8Conv("c", weight, {}, {}, kEdges).logits(x);
  const Tensor corrected = Int8Conv("c", weight, {}, {}, kEdges, means).logits(x);
  CHECK(test::worst_relative(corrected, expected) < 1e-5);
  CHECK(test::worst_relative(plain, expected) > 1e-3);
}

TEST_CASE("conv_int8: an empty batch gives an empty output") {
  const Int8Conv conv("c", Tensor::full({4, 1, 1, 8}, 1), {}, {}, kEdges);
  CHECK(conv.bias_silu(Tensor::empty({0, 3, 3, 8}, DType::kUInt8)).shape() == Shape{0, 3, 3, 4});
}

TEST_CASE("conv_int8: refuses what it cannot multiply in one line") {
  CHECK_THROWS_WITH_TEXT(Int8Conv("c", Tensor::zeros({4, 3, 3, 6}), {}, {1, 1}, kEdges), ShapeError,
                         "6 input channels, a multiple of 4 wanted");
  CHECK_THROWS_WITH_TEXT(Int8Conv("c", Tensor::zeros({1, 6, 6, 1844}), {}, {1, 1}, kEdges),
                         ShapeError, "66384 weights for each output, at most 66311 wanted");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_TEXT(Int8Conv("c", Tensor::full({4, 1, 1, 4}, nan), {}, {}, kEdges),
                         NotFiniteError, "int8: c: a weight is NaN or infinity");
  CHECK_THROWS_WITH_TEXT(
      Int8Conv("c", Tensor::full({4, 1, 1, 4}, 1), Tensor::full({4}, nan), {}, kEdges),
      NotFiniteError, "int8: c: a bias or the mean of an input is NaN or infinity");
  CHECK_THROWS_WITH_TEXT(Int8Conv("c", Tensor::zeros({4, 7, 7, 4}), {}, {1, 1}, kEdges), ShapeError,
                         "K from 1 to 6");
  CHECK_THROWS_WITH_TEXT(Int8Conv("c", Tensor::zeros({4, 1, 1, 4}), Tensor::zeros({3}), {}, kEdges),
                         ShapeError, "4 output channels need [4]");
  const Int8Conv conv("c", Tensor::full({4, 1, 1, 8}, 1), {}, {}, kEdges);
  CHECK_THROWS_WITH_TEXT(conv.bias_silu(Tensor::zeros({1, 2, 2, 8})), DTypeError,
                         "takes uint8, got float32");
  const Tensor x = random_bytes({1, 2, 2, 8}, 6);
  CHECK_THROWS_WITH_TEXT(conv.bias_silu(x, random_bytes({1, 2, 2, 5}, 7)), ShapeError,
                         "beside an output [1,2,2,4]");
  CHECK_THROWS_WITH_TEXT(conv.bias_silu({random_bytes({1, 2, 2, 5}, 8), 2}, x), ShapeError,
                         "does not fit into");
}

TEST_CASE("quantization: zero is one of the 256 numbers and the ends are reached") {
  for (const auto& [low, high] : {std::pair(-0.278, 6.1), {-3.0, 1.0}, {0.0, 1.0}, {-1.0, 0.0}}) {
    const Quantization q = quantization_of(low, high);
    CHECK(q.real(uint8_t(q.zero_point)) == 0);
    CHECK(std::abs(q.real(0) - low) <= q.scale / 2 + 1e-6);
    CHECK(std::abs(q.real(255) - high) <= q.scale / 2 + 1e-6);
  }
  CHECK(quantization_of(2, 5).zero_point == 0);  // reaches to 0
  CHECK(quantization_of(-5, -2).zero_point == 255);
  CHECK_THROWS_WITH_TEXT(quantization_of(0, 0), ValueError, "has no 256 numbers");
  CHECK_THROWS_WITH_TEXT(quantization_of(0, std::numeric_limits<double>::infinity()), ValueError,
                         "finite numbers wanted");
}

}  // namespace
}  // namespace ydistill
