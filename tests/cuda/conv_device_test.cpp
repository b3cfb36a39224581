// SPDX-License-Identifier: MIT
// The convolution of inference, which no op of the training table runs, and every plan that the
// libraries offer.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_plan.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>

#include "cuda/gpu.h"
#include "support/worst.h"

namespace ydistill {
namespace {

/// Largest difference, as a share of the largest number.
double difference(const Tensor& got, const Tensor& expected) {
  REQUIRE(got.shape() == expected.shape());
  double worst = 0, largest = 1e-6;
  for (int64_t i = 0; i < got.numel(); ++i) {
    worst = test::worse(worst, std::abs(got.at(i) - expected.at(i)));
    largest = std::max(largest, std::abs(expected.at(i)));
  }
  return worst / largest;
}

// Twelve output channels are padded in bfloat16, sixteen are not; what is not padded may be one
// fused kernel. The CPU gets the rounded numbers. float32: sums in another order. bfloat16: two
// roundings to 8 bits.
TEST_CASE("gpu: a convolution with bias and silu and residual agrees with its parts on the CPU") {
  YD_NEEDS_GPU();
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    for (const int64_t channels : {12, 16}) {
      for (const bool has_residual : {false, true}) {
        cuda::set_fuse_inference(channels == 16);
        INFO(name_of(dtype) << ", " << channels << " channels, residual " << has_residual);
        const Conv2dOptions options{.stride = 1, .padding = 1};
        const auto rounded = [&](uint64_t seed, const Shape& shape) {
          return Rng(seed).uniform(shape, -1, 1).to(dtype);
        };
        const Tensor x = rounded(1, {2, 5, 7, 12}), weight = rounded(2, {channels, 3, 3, 12});
        const Tensor residual = has_residual ? rounded(3, {2, 5, 7, channels}) : Tensor();
        const Tensor bias = Rng(4).uniform({channels}, -1, 1);
        const auto as_float = [](const Tensor& t) { return t.to(DType::kFloat32); };

        const Tensor expected = conv2d_forward(as_float(x), as_float(weight), bias, options);
        silu_inplace(expected, has_residual ? as_float(residual) : Tensor());
        const auto there = [](const Tensor& t) { return t.to(Device::cuda()); };
        const Tensor y =
            cuda::conv2d_bias_silu(there(x), there(as_float(weight)), there(bias),
                                   has_residual ? there(residual) : Tensor(), options, nullptr, 0);
        CHECK(y.dtype() == dtype);
        CHECK(difference(y.to(Device::cpu()), expected) <
              (dtype == DType::kFloat32 ? 1e-5 : 1.0 / 128));
      }
    }
  }
  cuda::set_fuse_inference(false);
}

constexpr int kMostPlans = 16;  // as autotune times

/// Operands of a problem on the GPU, and what the CPU makes of them.
struct Worked {
  Tensor a, b, expected;

  explicit Worked(const cuda::ConvProblem& p) {
    const Shape x = p.g.input_shape(), y = p.g.output_shape(), w = p.g.weight_shape();
    const auto numbers = [&](uint64_t seed, const Shape& shape) {
      return Rng(seed).uniform(shape, -1, 1).to(p.dtype).to(DType::kFloat32);
    };
    switch (p.direction) {
      case ConvDirection::kForward:
        a = numbers(1, x);
        b = numbers(2, w);
        expected = conv2d_forward(a, b, {}, p.g.options);
        break;
      case ConvDirection::kBackwardInput:
        a = numbers(1, y);
        b = numbers(2, w);
        expected = conv2d_backward_input(a, b, x, DType::kFloat32, p.g.options);
        break;
      case ConvDirection::kBackwardWeight:
        a = numbers(1, y);
        b = numbers(2, x);
        expected = Tensor::zeros(w);
        conv2d_backward_weight(a, b, p.g.options, expected, {});
        break;
    }
    a = there(a.to(p.dtype));
    b = there(b.to(p.dtype));
  }

  /// On the GPU, aligned no better than a parameter in bfloat16 is: to 32 bytes.
  static Tensor there(const Tensor& t) {
    const int64_t shift = 32 / size_of(t.dtype());
    const Tensor room = Tensor::empty({shift + t.numel()}, t.dtype(), Device::cuda());
    const Tensor part = room.slice(shift, shift + t.numel()).reshape(t.shape());
    part.copy_from(t);
    return part;
  }

  Tensor run(const cuda::ConvPlan& plan, DType dtype) const {
    const Tensor out = there(Tensor::zeros(expected.shape(), dtype));
    const auto workspace = allocate_storage(plan.workspace_bytes(), Device::cuda());
    plan.run({a.raw(), b.raw(), nullptr, out.raw()}, workspace->data());
    return out.to(Device::cpu()).to(DType::kFloat32);
  }
};

/// Runs the library's plans, and what comes back from their words; returns how many.
int check_plans(const cuda::ConvLibrary& library, const cuda::ConvProblem& problem) {
  const Worked work(problem);
  // Sums in another order; a rounding to bfloat16 of the result; of the operands to TF32.
  const double tolerance =
      problem.tf32 ? 1.0 / 512 : (problem.dtype == DType::kFloat32 ? 1e-5 : 1.0 / 128);
  std::string reason;
  int count = 0, restored = 0;
  for (const cuda::ConvPlanBuilder& build : library.plans(problem, reason)) {
    const std::unique_ptr<cuda::ConvPlan> plan = build();
    if (!plan) continue;
    INFO(cuda::describe(problem) << " by " << plan->name());
    const Tensor out = work.run(*plan, problem.dtype);
    CHECK(difference(out, work.expected) < tolerance);
    if (const auto again = library.restore(problem, plan->saved(), reason)) {
      CHECK(difference(work.run(*again, problem.dtype), out) == 0);
      ++restored;
    }
    if (++count == kMostPlans) break;
  }
  INFO(cuda::describe(problem) << ": " << count << " plans, " << reason);
  CHECK(restored > 0);
  return count;
}

TEST_CASE("gpu: every plan offered for a convolution computes it, saved and restored too") {
  YD_NEEDS_GPU();
  struct Numbers {
    DType dtype;
    bool tf32;
  };
  for (const Numbers numbers : {Numbers{DType::kFloat32, false}, Numbers{DType::kFloat32, true},
                                Numbers{DType::kBFloat16, false}}) {
    for (const ConvDirection direction :
         {ConvDirection::kForward, ConvDirection::kBackwardInput, ConvDirection::kBackwardWeight}) {
      const auto problem = [&](int64_t kernel, int64_t stride) {
        return cuda::ConvProblem{{2, 9, 7, 16, 24, kernel, {stride, kernel / 2}},
                                 numbers.dtype,
                                 direction,
                                 /*bias_silu=*/false,
                                 numbers.tf32};
      };
      if (cuda::cublas_library().name() != "no cuBLASLt") {  // built without its header
        CHECK(check_plans(cuda::cublas_library(), problem(1, 1)) > 0);
      }
      CHECK(check_plans(cuda::cudnn_library(), problem(1, 1)) > 0);
      CHECK(check_plans(cuda::cudnn_library(), problem(3, 1)) > 0);
      CHECK(check_plans(cuda::cudnn_library(), problem(3, 2)) > 0);
    }
  }
}

}  // namespace
}  // namespace ydistill
