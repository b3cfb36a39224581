// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/square_sum.h>

#include <cmath>
#include <limits>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("square_sum: counts every value, whatever the length") {
  for (const int64_t n : {0, 1, 15, 17, (1 << 16) + 3, 3 * (1 << 16)}) {
    CHECK(square_sum(Tensor::full({n}, 3)) == 9.0 * double(n));
  }
}

TEST_CASE("square_sum: does not depend on the threads and shows NaN") {
  const Tensor values = Tensor::empty({200000});
  for (int64_t i = 0; i < values.numel(); ++i) values.data<float>()[i] = 1.0f / float(i + 1);
  const int before = num_threads();
  set_num_threads(1);
  const double one = square_sum(values);
  set_num_threads(3);
  CHECK(square_sum(values) == one);
  set_num_threads(before);
  CHECK(one == Approx(1.6449290668));  // pi^2 / 6 less the terms behind 200000
  values.data<float>()[199999] = std::numeric_limits<float>::quiet_NaN();
  CHECK(std::isnan(square_sum(values)));
}

TEST_CASE("square_sum: float64 keeps what float32 would round away") {
  const Tensor values = Tensor::full({(1 << 16) + 21}, 1, DType::kFloat64);
  values.data<double>()[65540] = 1 + std::ldexp(1.0, -30);
  CHECK(square_sum(values) == double(values.numel()) + std::ldexp(1.0, -29));
}

TEST_CASE("square_sum: refuses what is neither float32 nor float64") {
  CHECK_THROWS_WITH_TEXT(square_sum(Tensor::full({3}, 1, DType::kBFloat16)), DTypeError,
                         "square_sum: takes float32 or float64");
}

}  // namespace
}  // namespace ydistill
