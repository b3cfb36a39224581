// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/autoanchor.h>

#include <cmath>
#include <vector>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("autoanchor: recall, matches and fitness by hand") {
  const Anchors anchors{{8, 16}, {{{10, 10}}, {{20, 40}}}};
  // Matches both; the second alone (w 0.5, h 0.4); neither.
  const std::vector<BoxSize> boxes{{10, 20}, {40, 16}, {100, 200}};
  const AnchorFit fit = fit_of(anchors, boxes, 4);
  CHECK(fit.recall == Approx(2.0 / 3));
  CHECK(fit.matches == Approx(1));  // 40 x 16 and 10 x 10: 0.25 is not above 1/4
  CHECK(fit.fitness == Approx((0.5 + 0.4) / 3));
}

TEST_CASE("autoanchor: nine sizes of boxes are found and go to the heads by size") {
  Rng rng(3);
  std::vector<BoxSize> boxes;
  for (int i = 0; i < 900; ++i) {
    const double size = 8 * std::pow(1.7, i % 9);
    boxes.push_back({size * rng.uniform(0.95, 1.05), 1.5 * size * rng.uniform(0.95, 1.05)});
  }
  Anchors like = Anchors::yolov5();
  std::swap(like.strides[0], like.strides[2]);  // the coarse head first
  const Anchors fitted = fitted_anchors(like, boxes, {4, 300, 1});
  const AnchorFit fit = fit_of(fitted, boxes, 4);
  CHECK(fit.recall == 1);
  CHECK(fit.fitness > 0.9);
  CHECK(fit.fitness > fit_of(like, boxes, 4).fitness);
  CHECK(fitted.strides == like.strides);
  CHECK(fitted.wh_px[0][0][0] > fitted.wh_px[1][2][0]);
  CHECK(fitted.wh_px[1][0][0] > fitted.wh_px[2][2][0]);
  CHECK(fitted == fitted_anchors(like, boxes, {4, 300, 1}));
}

TEST_CASE("autoanchor: the search raises the fitness of k-means alone") {
  Rng rng(9);
  std::vector<BoxSize> boxes;
  for (int i = 0; i < 500; ++i) {
    boxes.push_back({std::exp(rng.uniform(1, 6)), std::exp(rng.uniform(1, 6))});
  }
  const Anchors like = Anchors::yolov5();
  CHECK(fit_of(fitted_anchors(like, boxes, {4, 500, 0}), boxes, 4).fitness >
        fit_of(fitted_anchors(like, boxes, {4, 0, 0}), boxes, 4).fitness);
}

TEST_CASE("autoanchor: boxes all alike and too few boxes") {
  const std::vector<BoxSize> alike(20, BoxSize{30, 50});
  CHECK(fit_of(fitted_anchors(Anchors::yolov5(), alike, {}), alike, 4).fitness == Approx(1));
  const std::vector<BoxSize> few{{30, 50}, {1, 1}};
  CHECK_THROWS_WITH_TEXT(fitted_anchors(Anchors::yolov5(), few, {}), ValueError,
                         "autoanchor: 1 boxes of 2 px or more, at least 9 wanted");
}

}  // namespace
}  // namespace ydistill
