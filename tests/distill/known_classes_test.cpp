// SPDX-License-Identifier: MIT
// The distillation loss of a teacher that does not know all of the student's classes.
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/distill/distill_loss.h>
#include <ydistill/tensor/random.h>

#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

constexpr auto kKinds = {DistillKind::kL2, DistillKind::kKl, DistillKind::kBce};
const Anchors kAnchors{{8}, {{{10, 13}, {16, 12}}}};
constexpr int64_t kBoxes = 2 * 3 * 2 * 2;

Tensor random_head(uint64_t seed, int64_t classes) {
  return Rng(seed).uniform({2, 3, 2, 2, 5 + classes}, -3, 3, DType::kFloat64);
}

/// The head with these of its classes.
Tensor with_classes(const Tensor& head, const std::vector<int64_t>& classes) {
  const int64_t width = head.size(4), selected = 5 + int64_t(classes.size());
  const Tensor result = Tensor::zeros({2, 3, 2, 2, selected}, DType::kFloat64);
  for (int64_t i = 0; i < kBoxes; ++i) {
    for (int64_t c = 0; c < selected; ++c) {
      const int64_t from = c < 5 ? c : 5 + classes[size_t(c - 5)];
      result.data<double>()[i * selected + c] = head.at(i * width + from);
    }
  }
  return result;
}

struct Loss {
  DistillTerms terms;
  Tensor grad;
};

Loss loss_of(const Tensor& student, const Tensor& teacher, const DistillOptions& options) {
  Loss loss;
  const Var leaf = Var::leaf(student.clone());
  Tape tape;
  tape.backward(distill_loss({leaf}, {teacher}, kAnchors, kAnchors, options, &loss.terms));
  loss.grad = leaf.grad();
  return loss;
}

TEST_CASE("distill_loss: unknown classes count as if student and teacher did not have them") {
  const std::vector<int64_t> known{1, 4, 5, 17, 20};
  const Tensor student = random_head(1, 22), teacher = random_head(2, 22);
  const Tensor fewer_s = with_classes(student, known), fewer_t = with_classes(teacher, known);
  for (const DistillKind kind : kKinds) {
    INFO("kind " << int(kind));
    DistillOptions options{kind, 4, {0.3, 0.7, 1.1}};
    const Loss expected = loss_of(fewer_s, fewer_t, options);
    options.known_classes = known;
    const Loss got = loss_of(student, teacher, options);
    const double share = 5.0 / 22;  // the mean is over all classes
    CHECK(got.terms.box == expected.terms.box);
    CHECK(got.terms.obj == expected.terms.obj);
    CHECK(got.terms.cls == Approx(share * expected.terms.cls));
    for (int64_t i = 0; i < kBoxes; ++i) {
      std::vector<double> grads(27, 0);
      for (int64_t c = 0; c < 5; ++c) grads[size_t(c)] = expected.grad.at(i * 10 + c);
      for (size_t c = 0; c < known.size(); ++c) {
        grads[size_t(5 + known[c])] = share * expected.grad.at(i * 10 + 5 + int64_t(c));
      }
      for (int64_t c = 0; c < 27; ++c) {
        CHECK(got.grad.at(i * 27 + c) == Approx(grads[size_t(c)]).margin(1e-15));
      }
    }
  }
}

TEST_CASE("distill_loss: where a class is unknown the teacher does not say where nothing is") {
  const Tensor student = random_head(3, 3), teacher = random_head(4, 3);
  DistillOptions options{DistillKind::kL2, 4, {0, 0.7, 0}, DistillObjectness::kBce};
  options.known_classes = {0, 2};
  double expected = 0;
  for (int64_t i = 0; i < kBoxes; ++i) {
    const double p = 1 / (1 + std::exp(-student.at(i * 8 + 4)));
    const double q = 1 / (1 + std::exp(-teacher.at(i * 8 + 4)));
    expected -= 0.7 * 2 / double(kBoxes) * q * (q * std::log(p) + (1 - q) * std::log(1 - p));
  }
  CHECK(loss_of(student, teacher, options).terms.obj == Approx(expected));
}

TEST_CASE("distill_loss: gradcheck with unknown classes") {
  for (const DistillKind kind : kKinds) {
    for (const DistillObjectness of : {DistillObjectness::kL2, DistillObjectness::kBce}) {
      DistillOptions options{kind, 4, {0.3, 0.7, 1.1}, of};
      options.known_classes = {0, 3, 4};
      if (of == DistillObjectness::kBce) options.mean = DistillMean::kObjects;
      const Tensor teacher = random_head(7, 5);
      const auto result = gradcheck(
          [&](const std::vector<Var>& student) {
            return std::vector{distill_loss(student, {teacher}, kAnchors, kAnchors, options)};
          },
          {random_head(8, 5)});
      INFO("kind " << int(kind) << ", objectness " << int(of) << ": " << result.where);
      CHECK(result);
    }
  }
}

TEST_CASE("distill_loss: an unknown class that outshines all others does no harm") {
  Tensor student = random_head(9, 3);
  for (int64_t i = 0; i < kBoxes; ++i) student.data<double>()[i * 8 + 6] = 5000;
  DistillOptions options{DistillKind::kKl, 1, {0, 0, 1}};
  options.known_classes = {0, 2};
  const Loss loss = loss_of(student, random_head(10, 3), options);
  CHECK(std::isfinite(loss.terms.cls));
  CHECK(loss.terms.cls > 0);
  CHECK(all_finite(loss.grad));
}

TEST_CASE("distill_loss: known classes that are none, or in disorder, are refused") {
  const Tensor head = random_head(1, 3);
  const auto run = [&](const std::vector<int64_t>& known) {
    DistillOptions options;
    options.known_classes = known;
    loss_of(head, head, options);
  };
  CHECK_THROWS_WITH_TEXT(run({0, 3}), ValueError, "known class 3 of 3 classes");
  CHECK_THROWS_AS(run({-1}), ValueError);
  CHECK_THROWS_WITH_TEXT(run({2, 1}), ValueError, "must be ascending from 0");
  CHECK_NOTHROW(run({0, 1, 2}));
}

}  // namespace
}  // namespace ydistill
