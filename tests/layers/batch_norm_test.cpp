// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/random.h>

#include <cmath>

#include "support/catch.h"

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
  for (int64_t i = 0; i < a.numel(); ++i) worst = std::max(worst, std::abs(a.at(i) - b.at(i)));
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
