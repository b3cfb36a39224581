// SPDX-License-Identifier: MIT
#include <ydistill/yolo/scaled_grads.h>

#include <ydistill/tensor/dry_run.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("scaled_grads: gradients are multiplied in place, bfloat16 by a float32 factor") {
  const Tensor a = Tensor::of<float>({3}, {1, -2, 4});
  const Tensor b = Tensor::of<float>({2}, {3, 5}).to(DType::kBFloat16);
  const Grads scaled = scaled_grads({a, Tensor(), b}, Tensor::full(Shape{}, -0.5));
  REQUIRE(scaled.size() == 3);
  CHECK(scaled[0].shares_storage(a));
  CHECK_FALSE(scaled[1].defined());
  CHECK(a.at(0) == -0.5);
  CHECK(a.at(2) == -2);
  CHECK(b.at(1) == -2.5);
  const Tensor c = Tensor::of<double>({1}, {3});
  scaled_grads({c}, Tensor::full(Shape{}, 2, DType::kFloat64));
  CHECK(c.at(0) == 6);
}

TEST_CASE("scaled_grads: a dry run touches no gradient") {
  const Tensor grad = Tensor::full({4}, 5), factor = Tensor::full(Shape{}, 3);
  {
    const DryRun dry_run;
    scaled_grads({grad}, factor);
  }
  for (int64_t i = 0; i < 4; ++i) CHECK(grad.at(i) == 5);
}

}  // namespace
}  // namespace ydistill
