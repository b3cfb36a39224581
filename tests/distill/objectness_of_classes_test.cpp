// SPDX-License-Identifier: MIT
#include <ydistill/distill/feature_map_nms.h>
#include <ydistill/distill/objectness_of_classes.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

double s(double x) {
  return 1 / (1 + std::exp(-x));
}

TEST_CASE("objectness_of_classes: its sigmoid is the score of the surest class") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const int64_t classes : {1, 3, 80}) {
      // More boxes than a thread takes at once.
      const Tensor head =
          Rng(1).uniform({2, 20, 15, 2, 5 + classes}, -9, 9, DType::kFloat64).to(dtype);
      const Tensor objectness = objectness_of_classes(head);
      CHECK(objectness.shape() == Shape{2, 20, 15, 2});
      double worst = 0;
      for (int64_t i = 0; i < objectness.numel(); ++i) {
        const int64_t first = i * (5 + classes);
        double best = head.at(first + 5);
        for (int64_t c = 6; c < 5 + classes; ++c) best = std::max(best, head.at(first + c));
        const double score = s(head.at(first + 4)) * s(best);
        worst = std::max(worst, std::abs(s(objectness.at(i)) / score - 1));
      }
      CHECK(worst < (dtype == DType::kFloat32 ? 3e-6 : 1e-13));
    }
  }
}

TEST_CASE("objectness_of_classes: a class that is certain leaves the objectness as it is") {
  const Tensor head = Tensor::of<double>({1, 1, 1, 2, 6}, {0, 0, 0, 0, 1.5, 60,  //
                                                           0, 0, 0, 0, 60, -1.5});
  const Tensor objectness = objectness_of_classes(head);
  CHECK(objectness.at(0) == Approx(1.5));
  CHECK(objectness.at(1) == Approx(-1.5));
}

TEST_CASE("objectness_of_classes: large logits stay finite") {
  for (const float objectness : {-500.0f, 0.0f, 500.0f}) {
    for (const float best : {-500.0f, 0.0f, 500.0f}) {
      const Tensor head = Tensor::of({1, 1, 1, 1, 6}, {0, 0, 0, 0, objectness, best});
      const double got = objectness_of_classes(head).at(0);
      INFO(objectness << " and " << best << ": " << got);
      if (objectness < 0 && best < 0) {
        CHECK(got == -1000);
      } else if (objectness == 0 && best == 0) {
        CHECK(got == Approx(-std::log(3)));  // a quarter
      } else {
        const bool alike = objectness == best || objectness + best < 0;
        CHECK(got == Approx(std::min(objectness, best)).margin(alike ? 0.7 : 0));
      }
    }
  }
}

TEST_CASE("feature_map_nms: takes an objectness that is not the head's own") {
  const Tensor head = Rng(2).uniform({2, 5, 4, 3, 8}, -3, 3), given = objectness_of_classes(head);
  const Tensor with = head.clone();
  for (int64_t i = 0; i < given.numel(); ++i) with.data<float>()[i * 8 + 4] = float(given.at(i));
  const Tensor got = feature_map_nms(head, given), expected = feature_map_nms(with);
  const Tensor plain = feature_map_nms(head);
  int64_t others = 0;
  for (int64_t i = 0; i < got.numel(); ++i) {
    CHECK(got.at(i) == expected.at(i));
    others += (got.at(i) == kSuppressedLogit) != (plain.at(i) == kSuppressedLogit) ? 1 : 0;
  }
  CHECK(others > 0);
  CHECK_THROWS_WITH_TEXT(feature_map_nms(head, Tensor::zeros({2, 5, 4, 2})), ShapeError,
                         "must be [N,H,W,A] of it");
}

TEST_CASE("objectness_of_classes: what is no head is refused") {
  CHECK_THROWS_WITH_TEXT(objectness_of_classes(Tensor::zeros({1, 2, 2, 7})), ShapeError,
                         "takes logits [N,H,W,A,5+C]");
  CHECK_THROWS_AS(objectness_of_classes(Tensor::zeros({1, 2, 2, 1, 5})), ShapeError);
  CHECK_THROWS_AS(objectness_of_classes(Tensor::zeros({1, 2, 2, 1, 7}, DType::kBFloat16)),
                  DTypeError);
  CHECK(objectness_of_classes(Tensor::zeros({0, 2, 2, 1, 7})).numel() == 0);
}

}  // namespace
}  // namespace ydistill
