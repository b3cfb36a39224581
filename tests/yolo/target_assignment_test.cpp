// SPDX-License-Identifier: MIT
#include <ydistill/yolo/target_assignment.h>

#include <limits>

#include "support/catch.h"

namespace ydistill {
namespace {

/// One head of 4 rows and 8 columns of stride 8, with anchors of 1 x 1 and 8 x 8 cells.
const Anchors kAnchors{{8}, {{{8, 8}, {64, 64}}}};
const std::vector<HeadDims> kHead{{2, 4, 8, 2, 7}};

std::vector<Match> assign(std::initializer_list<float> numbers) {
  const Tensor targets = Tensor::of({int64_t(numbers.size()) / 6, 6}, numbers);
  return assign_targets(targets, kHead, kAnchors, 4).at(0);
}

std::vector<std::array<int64_t, 2>> cells(const std::vector<Match>& matches) {
  std::vector<std::array<int64_t, 2>> result;
  for (const Match& m : matches) result.push_back({m.row, m.column});
  return result;
}

using Cells = std::vector<std::array<int64_t, 2>>;

TEST_CASE("target_assignment: a target goes to its cell and the two nearest neighbours") {
  // centre (3.25, 1.75) cells, 1 x 1 cells: left of the middle, below the middle
  const auto matches = assign({1, 1, 3.25f / 8, 1.75f / 4, 1.0f / 8, 1.0f / 4});
  CHECK(cells(matches) == Cells{{1, 3}, {1, 2}, {2, 3}});  // own, left, down
  const Match& left = matches[1];
  CHECK(left.picture == 1);
  CHECK(left.class_id == 1);
  CHECK(left.anchor == 0);
  CHECK(left.x == Approx(1.25));
  CHECK(left.y == Approx(0.75));
  CHECK(left.w == Approx(1));
  CHECK(left.h == Approx(1));
  CHECK(left.anchor_w == 1);
  CHECK(left.anchor_h == 1);
  CHECK(matches[2].y == Approx(-0.25));
}

TEST_CASE("target_assignment: up and right are taken on the other sides of the middle") {
  CHECK(cells(assign({0, 0, 3.75f / 8, 1.25f / 4, 1.0f / 8, 1.0f / 4})) ==
        Cells{{1, 3}, {0, 3}, {1, 4}});  // own, up, right
  // exactly in the middle: no neighbour, the comparison is strict
  CHECK(cells(assign({0, 0, 3.5f / 8, 1.5f / 4, 1.0f / 8, 1.0f / 4})) == Cells{{1, 3}});
}

TEST_CASE("target_assignment: cells beyond the border are not taken") {
  // In the first column and the last row there is nothing further out.
  CHECK(cells(assign({0, 0, 0.25f / 8, 3.75f / 4, 1.0f / 8, 1.0f / 4})) == Cells{{3, 0}});
  CHECK(cells(assign({0, 0, 7.75f / 8, 0.25f / 4, 1.0f / 8, 1.0f / 4})) == Cells{{0, 7}});
}

TEST_CASE("target_assignment: a centre on the line between cells counts as both of them") {
  // Exactly 2: the fractional part is 0 from either side. Left is column 1; right, half a cell on,
  // is column 2 once more: the original counts the match twice.
  CHECK(cells(assign({0, 0, 2.0f / 8, 1.5f / 4, 1.0f / 8, 1.0f / 4})) ==
        Cells{{1, 2}, {1, 1}, {1, 2}});
  // Exactly 1: the test for a lower neighbour is strict, so there is none.
  CHECK(cells(assign({0, 0, 1.0f / 8, 1.5f / 4, 1.0f / 8, 1.0f / 4})) == Cells{{1, 1}, {1, 1}});
}

TEST_CASE("target_assignment: a centre on the last edge is clamped into the grid") {
  const auto matches = assign({0, 0, 1, 1, 1.0f / 8, 1.0f / 4});
  REQUIRE(cells(matches) == Cells{{3, 7}, {3, 7}, {3, 7}});  // own (clamped), left, up
  CHECK(matches[0].x == Approx(1));  // the box is counted from the clamped cell
  CHECK(matches[0].y == Approx(1));
  // the other corner: own, and right and down half a cell on, which is the same one
  CHECK(cells(assign({0, 0, 0, 0, 1.0f / 8, 1.0f / 4})) == Cells{{0, 0}, {0, 0}, {0, 0}});
}

TEST_CASE("target_assignment: an anchor needs both sides within the ratio") {
  const auto anchors_for = [](float w, float h) {
    std::vector<int64_t> result;
    for (const Match& m : assign({0, 0, 3.5f / 8, 1.5f / 4, w / 8, h / 4})) {
      result.push_back(m.anchor);
    }
    return result;
  };
  CHECK(anchors_for(1, 1) == std::vector<int64_t>{0});
  CHECK(anchors_for(3, 3) == std::vector<int64_t>{0, 1});
  CHECK(anchors_for(4, 3) == std::vector<int64_t>{1});  // a ratio of exactly 4 is too much
  CHECK(anchors_for(3, 0.2f) == std::vector<int64_t>{});
  CHECK(anchors_for(0, 1) == std::vector<int64_t>{});  // no width, no match
}

TEST_CASE("target_assignment: rows are ordered by offset then anchor then target") {
  const auto matches = assign({0, 0, 3.25f / 8, 1.5f / 4, 3.0f / 8, 3.0f / 4,  //
                               1, 1, 5.25f / 8, 1.5f / 4, 3.0f / 8, 3.0f / 4});
  std::vector<std::array<int64_t, 3>> order;  // column, anchor, target
  for (const Match& m : matches) order.push_back({m.column, m.anchor, m.target});
  CHECK(
      order ==
      std::vector<std::array<int64_t, 3>>{
          {3, 0, 0}, {5, 0, 1}, {3, 1, 0}, {5, 1, 1}, {2, 0, 0}, {4, 0, 1}, {2, 1, 0}, {4, 1, 1}});
}

TEST_CASE("target_assignment: no targets and empty heads give no matches") {
  CHECK(assign({}).empty());
  const Tensor target = Tensor::of({1, 6}, {0, 0, 0.5f, 0.5f, 0.1f, 0.1f});
  CHECK(assign_targets(target, {{1, 0, 0, 2, 7}}, kAnchors).at(0).empty());
}

TEST_CASE("target_assignment: padding keeps the targets and fills up with rows of no picture") {
  const Tensor targets = Tensor::of({2, 6}, {0, 1, .5f, .4f, .3f, .2f, 1, 0, .1f, .2f, .3f, .4f});
  const Tensor padded = padded_targets(targets, 4);
  REQUIRE(padded.shape() == Shape{4, 6});
  for (int64_t i = 0; i < 12; ++i) CHECK(padded.at(i) == targets.at(i));
  for (int64_t i = 12; i < 24; ++i) CHECK(padded.at(i) == -1);
  CHECK(padded_targets(targets, 2).shape() == Shape{2, 6});
  CHECK(padded_targets(Tensor::empty({0, 6}), 0).numel() == 0);
  CHECK_THROWS_WITH_TEXT(padded_targets(targets, 1), ValueError,
                         "padded_targets: 2 targets, there is room for 1");
  CHECK_THROWS_WITH_TEXT(padded_targets(Tensor::zeros({3, 5}), 9), ShapeError,
                         "targets are float32 [3,5]");
}

TEST_CASE("target_assignment: bad targets are refused with their row") {
  CHECK_THROWS_WITH_TEXT(assign({0, 0, .5f, .5f, .1f, .1f, 2, 0, .5f, .5f, .1f, .1f}), ValueError,
                         "target 1: picture 2 in a batch of 2");
  CHECK_THROWS_WITH_TEXT(assign({0.5f, 0, .5f, .5f, .1f, .1f}), ValueError, "picture 0.5");
  CHECK_THROWS_WITH_TEXT(assign({0, 2, .5f, .5f, .1f, .1f}), ValueError,
                         "target 0: class 2, the heads have 2 classes (0 to 1)");
  CHECK_THROWS_WITH_TEXT(assign({0, -1, .5f, .5f, .1f, .1f}), ValueError, "class -1");
  CHECK_THROWS_WITH_TEXT(assign({0, 0, 1.5f, .5f, .1f, .1f}), ValueError,
                         "target 0: centre 1.5 is outside 0..1");
  CHECK_THROWS_WITH_TEXT(assign({0, 0, .5f, .5f, -.1f, .1f}), ValueError, "side -0.1 is outside");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  CHECK_THROWS_WITH_TEXT(assign({0, 0, .5f, nan, .1f, .1f}), ValueError,
                         "target 0: column 3 is nan");
  CHECK_THROWS_WITH_TEXT(assign_targets(Tensor::zeros({3, 5}), kHead, kAnchors), ShapeError,
                         "targets are float32 [3,5]");
  CHECK_THROWS_WITH_TEXT(assign_targets(Tensor::zeros({3, 6}, DType::kFloat64), kHead, kAnchors),
                         DTypeError, "targets are float64 [3,6], must be float32");
  CHECK_THROWS_WITH_TEXT(assign_targets(Tensor::zeros({0, 6}), kHead, kAnchors, 1), ValueError,
                         "anchor_t: must be > 1, got 1");
}

}  // namespace
}  // namespace ydistill
