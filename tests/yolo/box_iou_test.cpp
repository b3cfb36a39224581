// SPDX-License-Identifier: MIT
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/box_iou_math.h>

#include <array>

#include "support/catch.h"

namespace ydistill {
namespace {

using Box = std::array<double, 4>;  // centre x, y, width, height

double iou_of(const Box& a, const Box& b) {
  return box_iou(a[0] - a[2] / 2, a[1] - a[3] / 2, a[0] + a[2] / 2, a[1] + a[3] / 2,
                 b[0] - b[2] / 2, b[1] - b[3] / 2, b[0] + b[2] / 2, b[1] + b[3] / 2, 0.0);
}

CIoU<double> ciou_of(const Box& a, const Box& b) {
  return ciou(a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]);
}

Box random_box(Rng& rng) {
  return {rng.uniform(-1, 1), rng.uniform(-1, 1), rng.uniform(0.3, 3), rng.uniform(0.3, 3)};
}

TEST_CASE("box_iou: of a box with itself is one and the order does not matter") {
  Rng rng(1);
  for (int i = 0; i < 50; ++i) {
    const Box a = random_box(rng), b = random_box(rng);
    CHECK(iou_of(a, a) == Approx(1));
    CHECK(iou_of(a, b) == Approx(iou_of(b, a)));
    CHECK(ciou_of(a, a).value == Approx(1).epsilon(1e-5));
    CHECK(ciou_of(a, b).value <= iou_of(a, b) + 1e-9);
  }
}

TEST_CASE("box_iou: hand-computed overlaps") {
  CHECK(box_iou(0.0, 0.0, 2.0, 2.0, 1.0, 0.0, 3.0, 2.0, 0.0) == Approx(2.0 / 6.0));
  CHECK(box_iou(0.0, 0.0, 4.0, 4.0, 1.0, 1.0, 3.0, 3.0, 0.0) == Approx(4.0 / 16.0));
  CHECK(box_iou(0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 2.0, 1.0, 0.0) == 0);  // an edge in common
  CHECK(box_iou(0.0, 0.0, 1.0, 1.0, 5.0, 5.0, 6.0, 6.0, 0.0) == 0);
  CHECK(std::isnan(box_iou(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0)));
}

TEST_CASE("ciou: hand-computed values") {
  // IoU 2 / 6, centres 1 apart, the hull's diagonal squared is 9 + 4; both are square.
  CHECK(ciou_of({1, 1, 2, 2}, {2, 1, 2, 2}).value == Approx(1.0 / 3 - 1.0 / 13).epsilon(1e-6));
  // The same centre, 2 x 2 in 4 x 1: IoU 2 / 6, v = 4 / pi^2 (atan 4 - atan 1)^2.
  const double v = 0.405284734569351 * std::pow(std::atan(4.0) - std::atan(1.0), 2);
  const double expected = 1.0 / 3 - v * v / (v - 1.0 / 3 + 1);
  CHECK(ciou_of({0, 0, 2, 2}, {0, 0, 4, 1}).value == Approx(expected).epsilon(1e-6));
}

/// The definition, with alpha of `frozen` instead of the box's own: what the gradient is of.
double ciou_with_alpha_of(const Box& frozen, const Box& box, const Box& target) {
  const double eps = 1e-7;
  const auto parts = [&](const Box& b, double& iou, double& distance, double& v) {
    const double left = std::max(b[0] - b[2] / 2, target[0] - target[2] / 2);
    const double right = std::min(b[0] + b[2] / 2, target[0] + target[2] / 2);
    const double top = std::max(b[1] - b[3] / 2, target[1] - target[3] / 2);
    const double bottom = std::min(b[1] + b[3] / 2, target[1] + target[3] / 2);
    const double inter = std::max(right - left, 0.0) * std::max(bottom - top, 0.0);
    iou = inter / (b[2] * (b[3] + eps) + target[2] * (target[3] + eps) - inter + eps);
    const double hull_w = std::max(b[0] + b[2] / 2, target[0] + target[2] / 2) -
                          std::min(b[0] - b[2] / 2, target[0] - target[2] / 2);
    const double hull_h = std::max(b[1] + b[3] / 2, target[1] + target[3] / 2) -
                          std::min(b[1] - b[3] / 2, target[1] - target[3] / 2);
    distance = (std::pow(b[0] - target[0], 2) + std::pow(b[1] - target[1], 2)) /
               (hull_w * hull_w + hull_h * hull_h + eps);
    const double pi = 3.14159265358979323846;
    v = 4 / (pi * pi) *
        std::pow(std::atan(target[2] / (target[3] + eps)) - std::atan(b[2] / (b[3] + eps)), 2);
  };
  double iou = 0, distance = 0, v = 0;
  parts(frozen, iou, distance, v);
  const double alpha = v / (v - iou + 1 + eps);
  parts(box, iou, distance, v);
  return iou - distance - alpha * v;
}

TEST_CASE("ciou: the gradient agrees with finite differences with alpha held constant") {
  Rng rng(2);
  int disjoint = 0, inside = 0;
  for (int i = 0; i < 200; ++i) {
    const Box box = random_box(rng);
    Box target = random_box(rng);
    if (i % 4 == 0) target[0] += 4;                                                     // apart
    if (i % 4 == 1) target = {box[0] + 0.05, box[1] - 0.05, box[2] * 2, box[3] * 1.5};  // around
    disjoint += iou_of(box, target) == 0 ? 1 : 0;
    inside += i % 4 == 1 ? 1 : 0;
    const CIoU<double> c = ciou_of(box, target);
    CHECK(c.value == Approx(ciou_with_alpha_of(box, box, target)).margin(1e-12));
    const double analytic[4] = {c.grad_x, c.grad_y, c.grad_w, c.grad_h};
    for (size_t k = 0; k < 4; ++k) {
      Box above = box, below = box;
      above[k] += 1e-6;
      below[k] -= 1e-6;
      const double numeric =
          (ciou_with_alpha_of(box, above, target) - ciou_with_alpha_of(box, below, target)) / 2e-6;
      CHECK(analytic[k] == Approx(numeric).margin(1e-7).epsilon(1e-6));
    }
  }
  CHECK(disjoint > 20);
  CHECK(inside > 20);
}

TEST_CASE("ciou: edges that coincide share the gradient of min and max") {
  // The boxes differ on the right only: the left edges coincide.
  const CIoU<double> c = ciou_of({0, 0, 2, 2}, {0.5, 0, 3, 2});
  // inter = w h; moving the centre moves the right end in (1) and half of the left (0.5):
  // d inter = 2 (1 - 0.5) = 1, d iou = d inter (1 + iou) / union = (1 + 2/3) / 6,
  // distance = 0.25 / 13, d hull = 0.5 - 1: d distance = (2 (-0.5) - distance 2 3 (-0.5)) / 13
  const double distance = 0.25 / 13;
  const double expected = (1 + 2.0 / 3) / 6 - (-1 + 3 * distance) / 13;
  // both aspect ratios count in v, whose derivative by the centre is zero
  CHECK(c.grad_x == Approx(expected).epsilon(1e-6));
  CHECK(c.grad_y == Approx(0).margin(1e-12));
}

}  // namespace
}  // namespace ydistill
