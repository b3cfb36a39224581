// SPDX-License-Identifier: MIT
// The direct gradient of weights against the plain loops in float64, which are the definition.
#include <ydistill/tensor/conv_grad_weight.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_reference.h>
#include <ydistill/tensor/dry_run.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

struct Layer {
  int64_t batch, height, width, in_channels, out_channels, kernel, stride, padding;
  std::string str() const {
    return fmt::format("{} pictures {}x{}, {} -> {} channels, {}x{} stride {} padding {}", batch,
                       height, width, in_channels, out_channels, kernel, kernel, stride, padding);
  }
};

/// Operands, and gradients that already hold something.
struct Example {
  explicit Example(const Layer& l)
      : options{l.stride, l.padding},
        x(Rng(1).uniform({l.batch, l.height, l.width, l.in_channels}, -1, 1)),
        weight(Rng(2).uniform({l.out_channels, l.kernel, l.kernel, l.in_channels}, -1, 1)),
        bias(Rng(3).uniform({l.out_channels}, -1, 1)),
        g(conv2d_geometry(x.shape(), weight.shape(), options)),
        grad_y(Rng(4).uniform(g.output_shape(), -1, 1)) {}

  struct Grads {
    Tensor weight, bias;
  };
  /// What is added to, in a dtype.
  Grads initial(DType dtype) const { return {weight.to(dtype).clone(), bias.to(dtype).clone()}; }

  Grads direct() const {
    const Grads grads = initial(DType::kFloat32);
    conv2d_backward_weight_direct(g, grad_y, x, grads.weight, grads.bias);
    return grads;
  }
  Grads expected() const {
    const Grads grads = initial(DType::kFloat64);
    conv2d_backward_weight_reference<double>(
        g, grad_y.to(DType::kFloat64).data<double>(), x.to(DType::kFloat64).data<double>(),
        grads.weight.data<double>(), grads.bias.data<double>());
    return grads;
  }

  Conv2dOptions options;
  Tensor x, weight, bias;
  Conv2dGeometry g;
  Tensor grad_y;
};

std::vector<float> numbers_of(const Tensor& t) {
  const auto values = t.span<float>();
  return {values.begin(), values.end()};
}

/// The worst difference beside the largest number, or 1; NaN where there is one.
double worst_relative(const Tensor& got, const Tensor& expected) {
  double worst = 0, scale = 1;
  for (int64_t i = 0; i < got.numel(); ++i) {
    const double difference = std::abs(got.at(i) - expected.at(i));
    worst = test::worse(worst, difference);
    scale = std::max(scale, std::abs(expected.at(i)));
  }
  return worst / scale;
}

// Sums of up to some thousand products in float32 with random signs.
constexpr double kTolerance = 3e-6;

/// In both types; bfloat16 by pairs of outputs where the CPU multiplies it.
void check_against_loops(const Layer& layer) {
  INFO(layer.str());
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    Example example(layer);
    example.x = example.x.to(dtype);
    example.grad_y = example.grad_y.to(dtype);
    const Example::Grads got = example.direct(), expected = example.expected();
    CHECK(worst_relative(got.weight, expected.weight) < kTolerance);
    CHECK(worst_relative(got.bias, expected.bias) < kTolerance);
  }
}

TEST_CASE("conv_grad_weight: agrees with the float64 loops over kernels, strides and paddings") {
  for (const int64_t kernel : {1, 2, 3, 5, 6}) {
    for (const int64_t stride : {1, 2, 3}) {
      for (const int64_t padding : {0, 1, 2, 3}) {
        check_against_loops({2, 11, 13, 20, 7, kernel, stride, padding});
        check_against_loops({3, 9, 8, 3, 17, kernel, stride, padding});  // folded
      }
    }
  }
}

TEST_CASE("conv_grad_weight: agrees with the float64 loops whatever the numbers of channels") {
  for (const int64_t in : {1, 7, 8, 12, 15, 16, 17, 33, 40}) {
    for (const int64_t out : {1, 2, 5, 6, 7, 13, 32}) {
      check_against_loops({1, 5, 6, in, out, 3, 1, 1});
      check_against_loops({2, 5, 3, in, out, 1, 1, 0});
    }
  }
}

TEST_CASE("conv_grad_weight: agrees with the float64 loops in the layers of a YOLOv5") {
  for (const Layer& layer : {
           Layer{2, 40, 40, 12, 32, 3, 1, 1},    // stem
           Layer{2, 40, 36, 3, 16, 6, 2, 2},     // stem since version 6
           Layer{3, 20, 20, 32, 64, 3, 2, 1},    // several chunks a picture
           Layer{9, 5, 5, 144, 140, 3, 1, 1},    // several pictures a chunk
           Layer{2, 12, 12, 128, 255, 1, 1, 0},  // head
           Layer{1, 4, 4, 300, 75, 1, 1, 0},     // several tiles of both
       }) {
    check_against_loops(layer);
  }
}

TEST_CASE("conv_grad_weight: agrees with the float64 loops where outputs go in pairs") {
  // Widths that leave the last pair with one output, chunks of several rows, blocks filled in part.
  for (const int64_t in : {16, 32, 48, 64}) {
    for (const int64_t width : {1, 2, 5, 8, 33}) {
      check_against_loops({2, 7, width, in, 25, 3, 1, 1});
      check_against_loops({2, 7, width, in, 12, 3, 2, 1});
      check_against_loops({1, 7, width, in, 75, 1, 1, 0});
      check_against_loops({1, 9, width + 3, in, 11, 6, 2, 2});
    }
  }
  check_against_loops({1, 160, 160, 32, 64, 3, 2, 1});
}

TEST_CASE("conv_grad_weight: agrees with the float64 loops where nothing is packed") {
  for (const int64_t in : {16, 32, 48}) {
    for (const int64_t out : {1, 7, 32, 75}) {
      check_against_loops({3, 17, 19, in, out, 1, 1, 0});
      check_against_loops({2, 2, 3, in, out, 1, 1, 0});
    }
  }
}

TEST_CASE("conv_grad_weight: takes a picture of one pixel, and a kernel that is mostly border") {
  check_against_loops({1, 1, 1, 16, 8, 3, 1, 1});
  check_against_loops({2, 2, 1, 5, 4, 5, 2, 4});
  check_against_loops({1, 3, 3, 20, 6, 7, 1, 6});
}

TEST_CASE("conv_grad_weight: without a bias adds to the weights alone") {
  const Example example({2, 7, 7, 16, 12, 3, 1, 1});
  const Tensor weight = example.weight.clone();
  conv2d_backward_weight_direct(example.g, example.grad_y, example.x, weight, {});
  CHECK(numbers_of(weight) == numbers_of(example.direct().weight));
}

TEST_CASE("conv_grad_weight: does not depend on the threads, to the last bit") {
  const int before = num_threads();
  for (const Layer& layer : {Layer{5, 24, 24, 32, 36, 3, 1, 1},    // groups of pictures
                             Layer{3, 10, 10, 160, 200, 3, 2, 1},  // one group, many tiles
                             Layer{4, 16, 16, 12, 32, 3, 1, 1},    // folded
                             Layer{2, 20, 20, 256, 255, 1, 1, 0}}) {
    INFO(layer.str());
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      Example example(layer);
      example.x = example.x.to(dtype);
      example.grad_y = example.grad_y.to(dtype);
      set_num_threads(1);
      const Example::Grads one = example.direct();
      for (const int threads : {2, 3, 4, 5}) {
        set_num_threads(threads);
        const Example::Grads several = example.direct();
        CHECK(numbers_of(several.weight) == numbers_of(one.weight));
        CHECK(numbers_of(several.bias) == numbers_of(one.bias));
      }
    }
  }
  set_num_threads(before);
}

TEST_CASE("conv_grad_weight: gives many threads work and keeps what they need small") {
  // 3x3 layers at 320 pixels, batch 8; then the largest of a YOLOv5x at 640.
  for (const Layer& layer :
       {Layer{8, 160, 160, 12, 32, 3, 1, 1}, Layer{8, 80, 80, 32, 32, 3, 1, 1},
        Layer{8, 20, 20, 128, 128, 3, 1, 1}, Layer{8, 20, 20, 640, 1280, 3, 2, 1},
        Layer{16, 320, 320, 80, 160, 3, 2, 1}, Layer{1, 20, 20, 1280, 640, 1, 1, 0}}) {
    INFO(layer.str());
    const Conv2dGeometry g{layer.batch,
                           layer.height,
                           layer.width,
                           layer.in_channels,
                           layer.out_channels,
                           layer.kernel,
                           {layer.stride, layer.padding}};
    for (const int threads : {1, 2, 16}) {
      for (const bool has_pairs : {false, true}) {
        const ConvGradWeightTask task =
            plan_conv_grad_weight(g, conv_grad_weight_kernels().in_block, threads,
                                  has_pairs ? DType::kBFloat16 : DType::kFloat32, has_pairs);
        CHECK(task.num_units() * 8 >= threads * 7);  // blocks differ from level to level
        CHECK(task.scratch * 4 <= (has_pairs ? 700 : 360) * 1024);
        CHECK((task.groups == 1 || task.groups * task.num_weights() * 4 <= 1024 * 1024));
      }
    }
  }
}

/// The example with activations of that type.
Example as(DType dtype, const Layer& layer) {
  Example example(layer);
  example.x = example.x.to(dtype);
  example.grad_y = example.grad_y.to(dtype);
  return example;
}

/// Bytes of an arena that the call takes.
int64_t memory_of(const Example& example) {
  const auto arena = Arena::create();
  const ArenaScope scope(arena);
  conv2d_backward_weight_direct(example.g, example.grad_y, example.x, example.weight, example.bias);
  return arena->peak_bytes();
}

TEST_CASE("conv_grad_weight: a dry run asks for the same memory and adds nothing") {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const Example example = as(dtype, {4, 16, 16, 32, 32, 3, 1, 1});
    const std::vector<float> weights = numbers_of(example.weight);
    int64_t planned = 0;
    {
      const DryRun dry;
      planned = memory_of(example);
    }
    CHECK(numbers_of(example.weight) == weights);
    CHECK(planned > 0);
    CHECK(memory_of(example) == planned);
    CHECK(numbers_of(example.weight) != weights);
  }
}

TEST_CASE("conv_grad_weight: a larger batch never asks for less memory") {
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const int64_t kernel : {1, 3}) {
      int64_t before = 0;
      for (int64_t batch = 1; batch < 40; ++batch) {
        const Example example = as(dtype, {batch, 8, 8, 16, 16, kernel, 1, kernel / 2});
        const DryRun dry;
        const int64_t memory = memory_of(example);
        INFO(batch << " pictures, kernel " << kernel);
        CHECK(memory >= before);
        before = memory;
      }
    }
  }
}

TEST_CASE("conv2d: the gradient of weights keeps its digits over many places") {
  // A sum of 102400 products, of which each adds 1/9 to the variance. Winograd's algorithm, added
  // up in one chain, is off by 3e-5.
  const Layer layer{16, 80, 80, 32, 32, 3, 1, 1};
  const Example example(layer);
  const Example::Grads expected = example.expected();
  const Example::Grads got = example.initial(DType::kFloat32);
  conv2d_backward_weight(example.grad_y, example.x, example.options, got.weight, {});
  double worst = 0;
  for (int64_t i = 0; i < got.weight.numel(); ++i) {
    worst = test::worse(worst, std::abs(got.weight.at(i) - expected.weight.at(i)));
  }
  CHECK(worst / std::sqrt(16 * 80 * 80 / 9.0) < 1.5e-5);
}

TEST_CASE("conv2d: the gradient of weights at AVX2 is the direct one") {
  if (cpu_level() != CpuLevel::kAvx2)
    YD_SKIP("this CPU's level is " + std::string(name_of(cpu_level())));
  const Example example({2, 9, 9, 24, 40, 3, 1, 1});
  const Example::Grads grads = example.initial(DType::kFloat32);
  conv2d_backward_weight(example.grad_y, example.x, example.options, grads.weight, grads.bias);
  const Example::Grads direct = example.direct();
  CHECK(numbers_of(grads.weight) == numbers_of(direct.weight));
  CHECK(numbers_of(grads.bias) == numbers_of(direct.bias));
}

}  // namespace
}  // namespace ydistill
