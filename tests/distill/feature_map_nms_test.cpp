// SPDX-License-Identifier: MIT
#include <ydistill/distill/distill_loss.h>
#include <ydistill/distill/feature_map_nms.h>
#include <ydistill/tensor/random.h>

#include <cmath>
#include <vector>

#include "support/catch.h"

namespace ydistill {
namespace {

struct Seen {
  int64_t class_id;
  double objectness;
};

/// A head [1,1,columns,anchors,5+2] of boxes in order.
Tensor row_of(const std::vector<Seen>& boxes, int64_t anchors = 1) {
  const Tensor head =
      Tensor::zeros({1, 1, int64_t(boxes.size()) / anchors, anchors, 7}, DType::kFloat64);
  for (size_t i = 0; i < boxes.size(); ++i) {
    head.data<double>()[i * 7 + 4] = boxes[i].objectness;
    head.data<double>()[i * 7 + 5 + size_t(boxes[i].class_id)] = 1;
  }
  return head;
}

/// Which boxes stay.
std::vector<bool> kept(const Tensor& head) {
  const Tensor objectness = feature_map_nms(head);
  const int64_t width = head.size(4);
  std::vector<bool> result;
  for (int64_t i = 0; i < objectness.numel(); ++i) {
    const bool stays = objectness.at(i) != kSuppressedLogit;
    if (stays) CHECK(objectness.at(i) == head.at(i * width + 4));
    result.push_back(stays);
  }
  return result;
}

using Kept = std::vector<bool>;

TEST_CASE("feature_map_nms: of neighbours of one class the surest stays") {
  CHECK(kept(row_of({{0, 1}, {0, 2}, {0, -1}})) == Kept{false, true, false});
  CHECK(kept(row_of({{0, 1}, {1, 2}, {0, -1}})) == Kept{true, true, true});
  CHECK(kept(row_of({{0, 1}, {1, 0}, {0, 3}})) == Kept{true, true, true});  // two cells apart
}

TEST_CASE("feature_map_nms: the boxes of a cell are neighbours too") {
  CHECK(kept(row_of({{0, 1}, {0, 2}, {1, 3}, {0, 1.5}}, 2)) == Kept{false, true, true, false});
}

TEST_CASE("feature_map_nms: a box that is left out still leaves out others") {
  CHECK(kept(row_of({{0, 3}, {0, 2}, {0, 1}, {0, 0}})) == Kept{true, false, false, false});
}

TEST_CASE("feature_map_nms: of equally sure ones the first stays") {
  CHECK(kept(row_of({{0, 1}, {0, 1}, {1, 1}})) == Kept{true, false, true});
}

TEST_CASE("feature_map_nms: neither the rows' ends nor the pictures touch") {
  // The last cell of the first picture and the first of the second are the sure ones.
  const Tensor head = Tensor::zeros({2, 1, 3, 1, 6}, DType::kFloat64);
  for (int64_t i = 0; i < 6; ++i) head.data<double>()[i * 6 + 4] = double(i == 2 || i == 3);
  CHECK(kept(head) == Kept{true, false, true, true, false, false});
  const Tensor rows = Tensor::zeros({1, 4, 3, 1, 6}, DType::kFloat64);
  rows.data<double>()[2 * 6 + 4] = 1;  // the last cell of the first row
  const std::vector<bool> stays = kept(rows);
  CHECK(stays[2]);
  CHECK_FALSE(stays[1]);
  CHECK_FALSE(stays[4]);
  CHECK_FALSE(stays[5]);
}

TEST_CASE("feature_map_nms: agrees with its definition on random maps") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    const Tensor head = Rng(1).uniform({2, 7, 5, 3, 8}, -3, 3, DType::kFloat64).to(dtype);
    const auto logit = [&](int64_t n, int64_t y, int64_t x, int64_t a, int64_t c) {
      return head.at((((n * 7 + y) * 5 + x) * 3 + a) * 8 + c);
    };
    const auto class_of = [&](int64_t n, int64_t y, int64_t x, int64_t a) {
      int64_t best = 5;
      for (int64_t c = 6; c < 8; ++c) {
        if (logit(n, y, x, a, c) > logit(n, y, x, a, best)) best = c;
      }
      return best;
    };
    const std::vector<bool> got = kept(head);
    size_t box = 0, left_out = 0;
    for (int64_t n = 0; n < 2; ++n) {
      for (int64_t y = 0; y < 7; ++y) {
        for (int64_t x = 0; x < 5; ++x) {
          for (int64_t a = 0; a < 3; ++a, ++box) {
            bool stays = true;
            for (int64_t v = 0; v < 7; ++v) {
              for (int64_t u = 0; u < 5; ++u) {
                for (int64_t b = 0; b < 3; ++b) {
                  const bool near = std::abs(v - y) <= 1 && std::abs(u - x) <= 1;
                  const bool same = class_of(n, v, u, b) == class_of(n, y, x, a);
                  if (near && same && logit(n, v, u, b, 4) > logit(n, y, x, a, 4)) stays = false;
                }
              }
            }
            CHECK(got[box] == stays);
            left_out += stays ? 0 : 1;
          }
        }
      }
    }
    CHECK(left_out > 50);
    CHECK(left_out < box - 10);
  }
}

TEST_CASE("feature_map_nms: in the loss a box left out is one where the teacher sees nothing") {
  const Anchors anchors{{8}, {{{8, 8}}}};
  const Tensor teacher = row_of({{0, 1}, {0, 2}, {1, 3}});
  const Tensor student = Rng(2).uniform(teacher.shape(), -1, 1, DType::kFloat64);
  const auto gradient = [&](DistillObjectness objectness) {
    const DistillOptions options{DistillKind::kL2, 20, {1, 1, 1}, objectness, /*fm_nms=*/true};
    const Var leaf = Var::leaf(student.clone());
    Tape tape;
    tape.backward(distill_loss({leaf}, {teacher}, anchors, anchors, options));
    return leaf.grad();
  };
  const Tensor l2 = gradient(DistillObjectness::kL2), bce = gradient(DistillObjectness::kBce);
  for (int64_t c = 0; c < 7; ++c) {
    CHECK(std::abs(l2.at(c)) < 1e-30);
    if (c != 4) CHECK(std::abs(bce.at(c)) < 1e-30);
    CHECK(std::abs(l2.at(7 + c)) > 1e-4);
    CHECK(std::abs(l2.at(14 + c)) > 1e-4);
  }
  // The cross entropy against 0, a mean over three boxes.
  CHECK(bce.at(4) == Approx(1 / (1 + std::exp(-student.at(4))) / 3));
}

// More cells than a thread takes at once, so that each has to find its own boxes' objectness.
TEST_CASE("feature_map_nms: the loss is that of a teacher with the objectness that is left") {
  const Anchors anchors{{8}, {{{8, 8}, {12, 10}}}};
  const Shape shape{2, 30, 40, 2, 8};
  const Tensor student = Rng(3).uniform(shape, -2, 2, DType::kFloat64);
  const Tensor teacher = Rng(4).uniform(shape, -2, 2, DType::kFloat64);
  const Tensor left = teacher.clone(), objectness = feature_map_nms(teacher);
  for (int64_t i = 0; i < objectness.numel(); ++i) {
    left.data<double>()[i * 8 + 4] = objectness.at(i);
  }
  for (const DistillKind kind : {DistillKind::kL2, DistillKind::kKl, DistillKind::kBce}) {
    for (const DistillObjectness of : {DistillObjectness::kL2, DistillObjectness::kBce}) {
      INFO("kind " << int(kind) << ", objectness " << int(of));
      const auto run = [&](const Tensor& by, bool fm_nms, DistillTerms& terms) {
        const Var leaf = Var::leaf(student.clone());
        const DistillOptions options{kind, 4, {0.3, 0.7, 1.1}, of, fm_nms};
        Tape tape;
        tape.backward(distill_loss({leaf}, {by}, anchors, anchors, options, &terms));
        return leaf.grad();
      };
      DistillTerms got, expected, plain;
      const Tensor grad = run(teacher, true, got), expected_grad = run(left, false, expected);
      run(teacher, false, plain);
      CHECK(got.box == expected.box);
      CHECK(got.obj == expected.obj);
      CHECK(got.cls == expected.cls);
      CHECK(got.box < 0.9 * plain.box);
      for (int64_t i = 0; i < grad.numel(); ++i) {
        if (grad.at(i) != expected_grad.at(i)) FAIL("element " << i);
      }
    }
  }
}

TEST_CASE("feature_map_nms: what is no head is refused") {
  CHECK_THROWS_WITH_TEXT(feature_map_nms(Tensor::zeros({1, 2, 2, 7})), ShapeError,
                         "takes logits [N,H,W,A,5+C]");
  CHECK_THROWS_WITH_TEXT(feature_map_nms(Tensor::zeros({1, 2, 2, 1, 5})), ShapeError,
                         "takes logits [N,H,W,A,5+C]");
  CHECK_THROWS_AS(feature_map_nms(Tensor::zeros({1, 2, 2, 1, 7}, DType::kBFloat16)), DTypeError);
  CHECK(feature_map_nms(Tensor::zeros({0, 2, 2, 1, 7})).numel() == 0);
}

}  // namespace
}  // namespace ydistill
