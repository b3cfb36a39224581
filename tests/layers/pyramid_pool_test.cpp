// SPDX-License-Identifier: MIT
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "support/catch.h"

namespace ydistill {
namespace {

// The definition: each window on its own, the border as minus infinity.
double window_max(const Tensor& x, int64_t i, int64_t j, int64_t c, int64_t radius) {
  double best = -std::numeric_limits<double>::infinity();
  for (int64_t p = std::max<int64_t>(0, i - radius); p <= std::min(x.size(1) - 1, i + radius);
       ++p) {
    for (int64_t q = std::max<int64_t>(0, j - radius); q <= std::min(x.size(2) - 1, j + radius);
         ++q) {
      best = std::max(best, x.at((p * x.size(2) + q) * x.size(3) + c));
    }
  }
  return best;
}

TEST_CASE("pyramid_pool: the cascade equals windows of k and 2k - 1 and 3k - 2") {
  const int64_t window = GENERATE(3, 5, 7, 15);
  CAPTURE(window);
  const int64_t radius = window / 2;
  const Tensor x = Rng(8).uniform({1, 9, 17, 5}, -3, -1);  // all below zero: padding must not win
  const Tensor y = pyramid_pool(Var(x), window).value();
  REQUIRE(y.shape() == Shape{1, 9, 17, 20});
  for (int64_t i = 0; i < 9; ++i) {
    for (int64_t j = 0; j < 17; ++j) {
      for (int64_t c = 0; c < 5; ++c) {
        const int64_t at = (i * 17 + j) * 20 + c;
        REQUIRE(y.at(at) == x.at((i * 17 + j) * 5 + c));
        REQUIRE(y.at(at + 5) == window_max(x, i, j, c, radius));
        REQUIRE(y.at(at + 10) == window_max(x, i, j, c, 2 * radius));
        REQUIRE(y.at(at + 15) == window_max(x, i, j, c, 3 * radius));
      }
    }
  }
}

TEST_CASE("pyramid_pool: windows that have no middle or are too large are refused") {
  const Var x(Tensor::zeros({1, 3, 3, 1}));
  for (const int64_t window : {1, 4, 17}) {
    CHECK_THROWS_WITH_TEXT(pyramid_pool(x, window), ValueError, "must be odd and 3..15");
  }
}

TEST_CASE("pyramid_pool: a NaN is seen and not lost") {
  const Tensor x = Tensor::zeros({1, 3, 3, 1});
  x.data<float>()[4] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(pyramid_pool(Var(x)).value().at(1)));
}

}  // namespace
}  // namespace ydistill
