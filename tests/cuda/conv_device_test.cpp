// SPDX-License-Identifier: MIT
// The convolution of inference, which no op of the training table runs.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>

#include "cuda/gpu.h"

namespace ydistill {
namespace {

/// Largest difference, as a share of the largest number.
double difference(const Tensor& got, const Tensor& expected) {
  REQUIRE(got.shape() == expected.shape());
  double worst = 0, largest = 1e-6;
  for (int64_t i = 0; i < got.numel(); ++i) {
    worst = std::max(worst, std::abs(got.at(i) - expected.at(i)));
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

}  // namespace
}  // namespace ydistill
