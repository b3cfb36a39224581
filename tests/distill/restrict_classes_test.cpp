// SPDX-License-Identifier: MIT
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

double s(double x) {
  return 1 / (1 + std::exp(-x));
}

/// For a student of the first classes.
Tensor restricted_to(const Tensor& head, int64_t classes) {
  return restrict_classes(head, ClassParts(std::vector<int64_t>(size_t(classes), 1)));
}

TEST_CASE("restrict_classes: objectness falls by how much less a box looks like a known class") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const int64_t kept : {2, 3, 77}) {
      // More boxes than a thread takes at once.
      const Tensor head = Rng(1).uniform({2, 20, 15, 2, 85}, -9, 9, DType::kFloat64).to(dtype);
      const Tensor got = restricted_to(head, kept);
      CHECK(got.shape() == Shape{2, 20, 15, 2, 5 + kept});
      CHECK(got.dtype() == dtype);
      double worst = 0;
      int64_t fallen = 0;
      for (int64_t i = 0; i < head.numel() / 85; ++i) {
        double own = -100, other = -100;
        for (int64_t c = 0; c < 80; ++c) {
          double& best = c < kept ? own : other;
          best = std::max(best, head.at(i * 85 + 5 + c));
        }
        const int64_t row = i * (5 + kept);
        for (int64_t c = 0; c < 5 + kept; ++c) {
          if (c != 4) CHECK(got.at(row + c) == head.at(i * 85 + c));
        }
        const double objectness = head.at(i * 85 + 4);
        if (own >= other) {
          CHECK(got.at(row + 4) == objectness);
          continue;
        }
        ++fallen;
        const double expected = s(objectness) * s(own) / s(other);
        worst = std::max(worst, std::abs(s(got.at(row + 4)) / expected - 1));
      }
      CHECK(worst < (dtype == DType::kFloat32 ? 5e-6 : 1e-13));
      CHECK(fallen > 10);
      CHECK(fallen < 1200);
    }
  }
}

TEST_CASE("restrict_classes: a foreign object is background, one of a known class not") {
  const Tensor head = Tensor::of<double>({1, 1, 1, 2, 8}, {0, 0, 0, 0, 3, -9, -8, 4,  //
                                                           0, 0, 0, 0, 3, 4, -8, -9});
  const Tensor got = restricted_to(head, 2);
  CHECK(s(got.at(4)) < 4e-4);
  CHECK(got.at(11) == 3);
}

TEST_CASE("restrict_classes: one class of several has its whole score in the objectness") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const Tensor head = Rng(3).uniform({2, 5, 4, 3, 9}, -9, 9, DType::kFloat64).to(dtype);
    const Tensor got = restricted_to(head, 1);
    double worst = 0;
    for (int64_t i = 0; i < head.numel() / 9; ++i) {
      const double score = s(head.at(i * 9 + 4)) * s(head.at(i * 9 + 5));
      worst = std::max(worst, std::abs(s(got.at(i * 6 + 4)) / score - 1));
    }
    CHECK(worst < (dtype == DType::kFloat32 ? 3e-6 : 1e-13));
  }
}

TEST_CASE("restrict_classes: large logits stay finite and close ones hardly change anything") {
  const auto restricted = [](float objectness, float own, float other, int64_t kept) {
    std::vector<float> box{0, 0, 0, 0, objectness, own};
    if (kept == 2) box.push_back(own);
    box.push_back(other);
    return restricted_to(Tensor::of<float>({1, 1, 1, 1, int64_t(box.size())}, box), kept).at(4);
  };
  for (const float objectness : {-500.0f, 0.0f, 500.0f}) {
    for (const float own : {-500.0f, 0.0f, 499.0f}) {
      for (const int64_t kept : {1, 2}) {
        // The share is sigmoid(own). Of two small factors the logits add up; else the less rules,
        // less a half where both are alike.
        const double got = restricted(objectness, own, 500, kept);
        INFO(objectness << " and " << own << ", " << kept << " kept: " << got);
        if (objectness < 0 && own < 0) {
          CHECK(got == -1000);
        } else if (objectness == 0 && own == 0) {
          CHECK(got == Approx(-std::log(3)));  // a quarter
        } else {
          const double least = kept == 2 && own > 1 ? objectness : std::min(objectness, own);
          CHECK(got == Approx(least).margin(0.7));
        }
      }
    }
  }
  CHECK(restricted(1, 2, std::nextafter(2.0f, 3.0f), 2) == Approx(1));
  CHECK(restricted(500, 499, 500, 2) == 500);
}

TEST_CASE("restrict_classes: a class made of several has the largest of their logits") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const Tensor head = Rng(4).uniform({2, 5, 4, 3, 14}, -9, 9, DType::kFloat64).to(dtype);
    const Tensor got = restrict_classes(head, ClassParts({3, 1, 2}));
    CHECK(got.shape() == Shape{2, 5, 4, 3, 8});
    double worst = 0;
    for (int64_t i = 0; i < head.numel() / 14; ++i) {
      const auto largest = [&](int64_t begin, int64_t end) {
        double best = -100;
        for (int64_t c = begin; c < end; ++c) best = std::max(best, head.at(i * 14 + 5 + c));
        return best;
      };
      for (int64_t c = 0; c < 4; ++c) CHECK(got.at(i * 8 + c) == head.at(i * 14 + c));
      CHECK(got.at(i * 8 + 5) == largest(0, 3));
      CHECK(got.at(i * 8 + 6) == largest(3, 4));
      CHECK(got.at(i * 8 + 7) == largest(4, 6));
      const double own = largest(0, 6), other = largest(6, 9);
      const double share = own < other ? s(own) / s(other) : 1;
      const double expected = s(head.at(i * 14 + 4)) * share;
      worst = std::max(worst, std::abs(s(got.at(i * 8 + 4)) / expected - 1));
    }
    CHECK(worst < (dtype == DType::kFloat32 ? 5e-6 : 1e-13));
  }
  // One class made of several, beside others, has the whole score; of all of them the objectness.
  const Tensor box = Tensor::of<double>({1, 1, 1, 1, 8}, {0, 0, 0, 0, 3, -9, 1, 4});
  CHECK(s(restrict_classes(box, ClassParts({2})).at(4)) == Approx(s(3) * s(1)));
  CHECK(restrict_classes(box, ClassParts({3})).at(4) == 3);
}

TEST_CASE("restrict_classes: with all classes nothing changes") {
  const Tensor head = Rng(2).uniform({1, 2, 3, 2, 9}, -3, 3);
  const Tensor got = restricted_to(head, 4);
  for (int64_t i = 0; i < head.numel(); ++i) CHECK(got.at(i) == head.at(i));
}

TEST_CASE("restrict_classes: what is no head, or has not so many classes, is refused") {
  CHECK_THROWS_WITH_TEXT(restricted_to(Tensor::zeros({1, 2, 2, 7}), 1), ShapeError,
                         "takes logits [N,H,W,A,5+D]");
  CHECK_THROWS_AS(restricted_to(Tensor::zeros({1, 2, 2, 1, 5}), 1), ShapeError);
  const Tensor head = Tensor::zeros({1, 2, 2, 1, 7});
  CHECK_THROWS_WITH_TEXT(restricted_to(head, 3), ValueError, "3 classes of a head that has 2");
  CHECK_THROWS_WITH_TEXT(ClassParts({}), ValueError, "a student without classes");
  CHECK_THROWS_WITH_TEXT(ClassParts({2, 0}), ValueError, "a class made of 0 others");
  CHECK_THROWS_AS(restricted_to(Tensor::zeros({1, 2, 2, 1, 7}, DType::kBFloat16), 1), DTypeError);
  CHECK(restricted_to(Tensor::zeros({0, 2, 2, 1, 7}), 1).numel() == 0);
}

}  // namespace
}  // namespace ydistill
