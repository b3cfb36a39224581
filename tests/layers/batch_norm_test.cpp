// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/random.h>

#include <cmath>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

struct Norm {
  Tensor mean, var;
  Var out;
};

Norm run(const Tensor& y, double gamma = 1, double beta = 0) {
  const Shape c{y.size(-1)};
  Norm n{Tensor::zeros(c, y.dtype()), Tensor::full(c, 1, y.dtype()), {}};
  n.out = batch_norm_silu(Var(y), Var(Tensor::full(c, gamma, y.dtype())),
                          Var(Tensor::full(c, beta, y.dtype())), n.mean, n.var, {});
  return n;
}

// Two values 1 and 3: mean 2, biased variance 1, unbiased 2.
TEST_CASE("batch_norm_silu: a channel done by hand") {
  const Norm n = run(Tensor::of<double>({2, 1, 1, 1}, std::vector<double>{1, 3}), 2, 0.5);
  for (int i = 0; i < 2; ++i) {
    const double z = 2 * (i == 0 ? -1 : 1) / std::sqrt(1 + 1e-3) + 0.5;
    CHECK(n.out.value().at(i) == Approx(z / (1 + std::exp(-z))));
  }
  CHECK(n.mean.at(0) == Approx(0.03 * 2));
  CHECK(n.var.at(0) == Approx(0.97 + 0.03 * 2));  // the unbiased variance goes in
}

TEST_CASE("batch_norm_silu: a mean far larger than the spread cancels nothing") {
  Rng rng(3);
  const Tensor y = rng.uniform({4, 20, 20, 24}, -1, 1);
  const Tensor shifted = y.clone();
  for (auto& v : shifted.span<float>()) v += 1000.0f;  // exact to 6e-5
  const Tensor a = run(y).out.value(), b = run(shifted).out.value();
  double worst = 0;
  for (int64_t i = 0; i < a.numel(); ++i) worst = test::worse(worst, std::abs(a.at(i) - b.at(i)));
  // The shift itself rounds each value by up to 3e-5, which is 5e-5 of the spread 0.58.
  CHECK(worst < 3e-4);
}

TEST_CASE("batch_norm_silu: odd channel counts agree with double") {
  for (const int64_t channels : {1, 3, 15, 16, 17, 33, 75}) {
    const Tensor y = Rng(uint64_t(channels)).uniform({2, 5, 3, channels}, -2, 2);
    const Tensor a = run(y).out.value(), b = run(y.to(DType::kFloat64)).out.value();
    for (int64_t i = 0; i < a.numel(); ++i) REQUIRE(std::abs(a.at(i) - b.at(i)) < 1e-5);
  }
}

/// y's gradient from one of the output.
Tensor grad_of(const Tensor& y, const Tensor& grad_out) {
  const DType masters = y.dtype() == DType::kBFloat16 ? DType::kFloat32 : y.dtype();
  const Shape c{y.size(-1)};
  Tape tape;
  const Var x = Var::leaf(y);
  const Tensor mean = Tensor::zeros(c, masters), var = Tensor::full(c, 1, masters);
  const Var out = batch_norm_silu(x, Var(Tensor::full(c, 1.5, masters)),
                                  Var(Tensor::full(c, 0.25, masters)), mean, var, {});
  tape.backward(out, grad_out.clone());
  return x.grad();
}

TEST_CASE("batch_norm_silu: gradients of odd channel counts agree with double") {
  for (const int64_t channels : {1, 3, 15, 16, 17, 33, 75}) {
    for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
      Rng rng{uint64_t(channels)};
      const Tensor y = rng.uniform({2, 5, 3, channels}, -2, 2).to(dtype);
      const Tensor grad_out = rng.uniform(y.shape(), -1, 1).to(dtype);
      INFO(channels << " channels, " << name_of(dtype));
      const Tensor got = grad_of(y, grad_out);
      const Tensor expected = grad_of(y.to(DType::kFloat64), grad_out.to(DType::kFloat64));
      // bfloat16 rounds dz and the gradient, of up to 3, by up to 2^-8 of themselves.
      const double limit = dtype == DType::kBFloat16 ? 2e-2 : 1e-5;
      for (int64_t i = 0; i < got.numel(); ++i) {
        REQUIRE(std::abs(got.at(i) - expected.at(i)) < limit);
      }
    }
  }
}

TEST_CASE("silu: every bfloat16 gives SiLU but for its own rounding; a NaN stays one") {
  const int64_t n = 1 << 16;
  const Tensor x = Tensor::empty({n}, DType::kBFloat16);
  for (int64_t i = 0; i < n; ++i) x.data<BFloat16>()[i].bits = uint16_t(i);
  const Tensor before = x.to(DType::kFloat64);
  silu_inplace(x, {});
  for (int64_t i = 0; i < n; ++i) {
    const double value = before.at(i), got = x.at(i);
    INFO("silu of " << value);
    if (std::isnan(value)) REQUIRE(std::isnan(got));
    if (!std::isfinite(value)) continue;
    const double expected = value / (1 + std::exp(-value));
    // Half a unit of the last of 8 bits. A sigmoid below 2e-38 may be that.
    REQUIRE(std::abs(got - expected) <=
            std::abs(expected) * (1.0 / 256 + 2e-4) + 2e-38 * (1 + std::abs(value)));
  }
}

TEST_CASE("batch_norm_silu: a NaN in bfloat16 is one in the sums of the gradients") {
  for (const float nan : {NAN, -NAN}) {
    const BFloat16 y(nan), grad_out(1.0f);
    const float one = 1, zero = 0;
    double sums[2];
    batch_norm_kernels().bf16.grad_sums(&grad_out, &y, &one, &zero, &zero, 1, 1, 1, sums, nullptr);
    CHECK(std::isnan(sums[0]));
  }
}

TEST_CASE("batch_norm_silu: wrong operands are refused by name") {
  CHECK_THROWS_WITH_TEXT(run(Tensor::zeros({1, 1, 1, 4})), ValueError, "one value a channel");
  const Tensor y = Tensor::zeros({2, 2, 2, 4});
  const Tensor c = Tensor::zeros({4}), short_c = Tensor::zeros({3});
  CHECK_THROWS_WITH_TEXT(batch_norm_silu(Var(y), Var(short_c), Var(c), c, c, {}), ShapeError,
                         "needs [4] per channel, got float32 [3]");
  CHECK_THROWS_WITH_TEXT(
      batch_norm_silu(Var(y), Var(c), Var(c), c, c, {}, Var(Tensor::zeros({2, 2, 2, 3}))),
      ShapeError, "residual [2,2,2,3]");
}

}  // namespace
}  // namespace ydistill
