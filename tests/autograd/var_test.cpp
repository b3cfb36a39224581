// SPDX-License-Identifier: MIT
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/autograd/var.h>
#include <ydistill/tensor/random.h>

#include "support/catch.h"

namespace ydistill {
namespace {

const Op kSquare("test_square");

Var square(const Var& x, double wrong_factor = 1) {
  const Tensor y = Tensor::empty(x.shape(), x.dtype());
  for (int64_t i = 0; i < y.numel(); ++i) {
    y.data<double>()[i] = x.value().at(i) * x.value().at(i);
  }
  return record(kSquare, y, {x}, [=](const Tensor& grad_out) {
    const Tensor grad = Tensor::empty(x.shape(), x.dtype());
    for (int64_t i = 0; i < grad.numel(); ++i) {
      grad.data<double>()[i] = wrong_factor * 2 * x.value().at(i) * grad_out.at(i);
    }
    return Grads{grad};
  });
}

Tensor some(const Shape& shape) {
  return Rng(5).uniform(shape, -1, 1, DType::kFloat64);
}

TEST_CASE("tape: a receiver gets its user's own tensor, or the sum of several users'") {
  const Var x = Var::receiver(Tensor::of<double>({1}, std::vector<double>{3}));
  CHECK_FALSE(x.grad().defined());
  const Tensor one = Tensor::full({1}, 1, DType::kFloat64);
  Tensor given;
  Tape tape;
  const Var y = record(kSquare, one, {x}, [&](const Tensor&) {
    given = Tensor::full({1}, 5, DType::kFloat64);
    return Grads{given};
  });
  tape.backward(y, one);
  CHECK(x.grad().raw() == given.raw());
  given = {};
  const Var z = square(x);
  tape.backward(z, one);
  CHECK(x.grad().item() == Approx(5 + 6));
}

TEST_CASE("tape: a receiver's second user leaves the first one's tensor alone") {
  const Var x = Var::receiver(Tensor::of<double>({1}, std::vector<double>{3}));
  const Tensor one = Tensor::full({1}, 1, DType::kFloat64);
  const Tensor first = Tensor::full({1}, 5, DType::kFloat64);
  Tape tape;
  tape.backward(record(kSquare, one, {x}, [&](const Tensor&) { return Grads{first}; }), one);
  tape.backward(square(x), one);
  CHECK(x.grad().item() == Approx(5 + 6));
  CHECK(first.item() == 5);
}

TEST_CASE("tape: a Var with two users gets the sum of both gradients") {
  const Var x = Var::leaf(Tensor::of<double>({1}, std::vector<double>{3}));
  Tape tape;
  const Var y = square(x);
  const Var z = square(y);
  tape.backward({y, z},
                {Tensor::full({1}, 1, DType::kFloat64), Tensor::full({1}, 1, DType::kFloat64)});
  CHECK(x.grad().item() == Approx(6 + 4 * 27));  // d(x^2 + x^4)
  CHECK(tape.num_nodes() == 0);
}

TEST_CASE("tape: leaves accumulate over several backward passes") {
  const Var x = Var::leaf(Tensor::of<double>({1}, std::vector<double>{3}));
  for (int i = 0; i < 2; ++i) {
    Tape tape;
    tape.backward(square(x));
  }
  CHECK(x.grad().item() == Approx(12));
}

TEST_CASE("tape: nothing is recorded without a tape or under NoGrad or for constants") {
  const Var x = Var::leaf(some({2}));
  CHECK_FALSE(square(x).requires_grad());
  Tape tape;
  CHECK_FALSE(square(Var(some({2}))).requires_grad());
  {
    const NoGrad no_grad;
    CHECK_FALSE(square(x).requires_grad());
  }
  CHECK(square(x).requires_grad());
  CHECK(tape.num_nodes() == 1);
}

TEST_CASE("tape: a gradient of the wrong shape or dtype is refused by name") {
  const Var x = Var::leaf(some({2}));
  const auto run = [&](Tensor grad) {
    Tape tape;
    const Var y =
        record(kSquare, x.value().clone(), {x}, [=](const Tensor&) { return Grads{grad}; });
    tape.backward(y, Tensor::zeros({2}, DType::kFloat64));
  };
  CHECK_THROWS_WITH_TEXT(run(some({3})), ShapeError,
                         "test_square: the gradient of input 0 is float64 [3]");
  CHECK_THROWS_WITH_TEXT(run(Tensor::zeros({2})), DTypeError,
                         "test_square: the gradient of input 0 is float32 [2]");
}

TEST_CASE("tape: a constant as output has nothing to propagate") {
  Tape tape;
  CHECK_NOTHROW(tape.backward(Var(Tensor::zeros({1}))));
}

TEST_CASE("gradcheck: accepts a right backward and rejects a wrong one") {
  const auto with_factor = [](double factor) {
    return gradcheck([=](const std::vector<Var>& in) { return std::vector{square(in[0], factor)}; },
                     {some({7})});
  };
  CHECK(with_factor(1));
  CHECK_FALSE(with_factor(1.001));
  CHECK_FALSE(with_factor(std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace
}  // namespace ydistill
