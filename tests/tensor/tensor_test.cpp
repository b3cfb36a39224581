// SPDX-License-Identifier: MIT
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/math.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/tensor.h>

#include <cmath>
#include <limits>
#include <vector>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("shape: sizes and axes are checked and named") {
  CHECK(Shape({2, 3}).str() == "[2,3]");
  CHECK(Shape({2, 3})[-1] == 3);
  CHECK(Shape({2, 0}).numel() == 0);
  CHECK_THROWS_WITH_TEXT(Shape({2, -1}), ShapeError, "[2,-1]");
  CHECK_THROWS_WITH_TEXT(Shape({2})[1], ShapeError, "[2] has no axis 1");
  CHECK_THROWS_WITH_TEXT(Shape({int64_t(1) << 40, int64_t(1) << 40}), ShapeError, "2^59");
}

TEST_CASE("tensor: views share their numbers and clones do not") {
  const Tensor t = Tensor::of({2, 3}, {1, 2, 3, 4, 5, 6});
  const Tensor row = t.slice(1, 2);
  CHECK(row.shape() == Shape{1, 3});
  CHECK(row.at(0) == 4);
  const Tensor copy = t.clone();
  row.fill(9);
  CHECK(t.at(5) == 9);
  CHECK(copy.at(5) == 6);
  CHECK(t.reshape({-1, 2}).shape() == Shape{3, 2});
  CHECK_THROWS_WITH_TEXT(t.reshape({4}), ShapeError, "float32 [2,3] has 6 elements, [4] has 4");
  CHECK_THROWS_WITH_TEXT(t.slice(1, 3), ShapeError, "no rows 1..3");
}

TEST_CASE("tensor: reading as another type is refused by name") {
  CHECK_THROWS_WITH_TEXT(Tensor::zeros({2}).data<double>(), DTypeError,
                         "float32 [2] read as float64");
}

TEST_CASE("tensor: bfloat16 rounds to nearest even and keeps NaN") {
  CHECK(float(BFloat16(1.0f)) == 1.0f);
  CHECK(float(BFloat16(1.00390625f)) == 1.0f);       // halfway, even below
  CHECK(float(BFloat16(1.01171875f)) == 1.015625f);  // halfway, even above
  CHECK(std::isnan(float(BFloat16(std::numeric_limits<float>::quiet_NaN()))));
  CHECK(std::isinf(float(BFloat16(3.4e38f))));
  CHECK(Tensor::of({2}, {1, -2}).to(DType::kBFloat16).at(1) == -2);
}

TEST_CASE("tensor: finite means no NaN and no infinity") {
  const Tensor t = Tensor::zeros({100});
  CHECK(all_finite(t));
  t.data<float>()[99] = std::numeric_limits<float>::infinity();
  CHECK_FALSE(all_finite(t));
}

TEST_CASE("math: sigmoid_bf16 is within 1e-4 of the sigmoid and SiLU lets a NaN through") {
  for (double x = -87; x <= 87; x += 0.0137) {
    INFO("x " << x);
    const double expected = 1 / (1 + std::exp(-double(float(x))));
    REQUIRE(std::abs(double(sigmoid_bf16(float(x))) / expected - 1) < 1e-4);
  }
  CHECK(sigmoid_bf16(1e30f) == Approx(1).epsilon(1e-4));
  CHECK(sigmoid_bf16(-1e30f) < 1e-37f);
  for (const float nan : {NAN, -NAN}) {
    CHECK(std::isnan(silu(nan)));
    CHECK(std::isnan(silu_grad(nan)));
  }
}

TEST_CASE("math: exp_fast is within 2e-7 of exp and sigmoid stays finite") {
  for (double x = -87.3; x < 87.3; x += 0.0137) {
    const double expected = std::exp(double(float(x)));
    REQUIRE(std::abs(double(exp_fast(float(x))) / expected - 1) < 2e-7);
  }
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {88.0f, 1e30f, infinity}) {
    CHECK(exp_fast(x) == exp_fast(87.3f));
    CHECK(exp_fast(-x) == exp_fast(-87.3f));
  }
  CHECK(exp_fast(0.0f) == 1.0f);
  for (const float nan : {NAN, -NAN}) {
    CHECK(std::isnan(exp_fast(nan)));
    CHECK(std::isnan(sigmoid(nan)));
  }
  CHECK(sigmoid(-200.0f) >= 0);
  CHECK(sigmoid(-200.0f) < 1e-37f);
  CHECK(sigmoid(200.0f) == 1.0f);
  CHECK(bce_with_logits(1000.0f, 0.0f, 1.0f) == 1000.0f);
}

TEST_CASE("math: log_fast is within 3e-7 of log") {
  for (double x = 1.2e-38; x < 1e38; x *= 1.0173) {
    INFO("x " << x);
    const double expected = std::log(double(float(x)));
    REQUIRE(std::abs(double(log_fast(float(x))) - expected) <= 3e-7 * std::abs(expected));
  }
  CHECK(log_fast(1.0f) == 0);
  CHECK(log_fast(0.0f) == Approx(std::log(0x1p-126)));
}

TEST_CASE("parallel_for: every index exactly once") {
  for (const int64_t n : {0, 1, 7, 1000}) {
    std::vector<int> seen(size_t(n), 0);
    parallel_for(n, 3, [&](int64_t i) { ++seen[size_t(i)]; });
    CHECK(seen == std::vector<int>(size_t(n), 1));
  }
}

TEST_CASE("parallel_for: an exception comes out, that of the lowest chunk") {
  const int threads = num_threads();
  for (const int n : {1, 2, 3}) {
    set_num_threads(n);
    const auto run = [] {
      parallel_for(100, 1, [](int64_t i) {
        if (i >= 40) throw ValueError("at {}", i);
      });
    };
    CHECK_THROWS_WITH_TEXT(run(), ValueError, "at 40");
  }
  set_num_threads(threads);
}

TEST_CASE("add_into: adds and checks") {
  const Tensor a = Tensor::of({3}, {1, 2, 3});
  add_into(a, Tensor::of({3}, {10, 20, 30}));
  CHECK(a.at(2) == 33);
  CHECK_THROWS_AS(add_into(a, Tensor::zeros({4})), ShapeError);
  CHECK_THROWS_AS(add_into(a, Tensor::zeros({3}, DType::kFloat64)), DTypeError);
}

}  // namespace
}  // namespace ydistill
