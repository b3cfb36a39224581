// SPDX-License-Identifier: MIT
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>
#include <ydistill/tensor/square_sum.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/detection_loss_math.h>
#include <ydistill/yolo/graph.h>
#include <ydistill/yolo/target_assignment.h>

#include <cmath>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

constexpr int64_t kClasses = 3;
/// Two heads of 2 anchors for pictures of 32 x 48 pixels.
const Anchors kAnchors{{8, 16}, {{{10, 13}, {16, 12}}, {{20, 17}, {24, 30}}}};

std::vector<Tensor> random_heads(uint64_t seed, int64_t pictures = 2, int64_t classes = kClasses) {
  Rng rng(seed);
  return {rng.uniform({pictures, 4, 6, 2, 5 + classes}, -2, 2, DType::kFloat64),
          rng.uniform({pictures, 2, 3, 2, 5 + classes}, -2, 2, DType::kFloat64)};
}

/// Neighbours, a duplicate in the same cell, a centre on the last edge, one too small for any
/// anchor.
Tensor some_targets() {
  return Tensor::of({5, 6}, {0, 0, 0.31f, 0.42f, 0.30f, 0.40f,  //
                             0, 2, 0.32f, 0.43f, 0.33f, 0.35f,  //
                             1, 1, 1.00f, 1.00f, 0.25f, 0.45f,  //
                             1, 0, 0.70f, 0.61f, 0.50f, 0.70f,  //
                             1, 2, 0.20f, 0.20f, 0.01f, 0.01f});
}

Tensor flags(const std::vector<uint8_t>& labelled) {
  return Tensor::of<uint8_t>({int64_t(labelled.size())}, labelled);
}

std::vector<Var> leaves(const std::vector<Tensor>& heads) {
  std::vector<Var> result;
  for (const Tensor& head : heads) result.push_back(Var::leaf(head.clone()));
  return result;
}

double s(double x) {
  return 1 / (1 + std::exp(-x));
}

double bce(double x, double t, double pos_weight) {
  return -(pos_weight * t * std::log(s(x)) + (1 - t) * std::log(1 - s(x)));
}

double focal(double x, double t, double pos_weight, double gamma) {
  if (gamma == 0) return bce(x, t, pos_weight);
  const double p = t * s(x) + (1 - t) * (1 - s(x));
  return bce(x, t, pos_weight) * (t * 0.25 + (1 - t) * 0.75) * std::pow(1 - p, gamma);
}

/// CIoU as in the paper; alpha, when not NaN, replaces its own.
double plain_ciou(const double* t, const Match& m, double& alpha) {
  const double x = 2 * s(t[0]) - 0.5, y = 2 * s(t[1]) - 0.5;
  const double w = std::pow(2 * s(t[2]), 2) * m.anchor_w, h = std::pow(2 * s(t[3]), 2) * m.anchor_h;
  const double inter_w = std::min(x + w / 2, m.x + m.w / 2) - std::max(x - w / 2, m.x - m.w / 2);
  const double inter_h = std::min(y + h / 2, m.y + m.h / 2) - std::max(y - h / 2, m.y - m.h / 2);
  const double inter = std::max(inter_w, 0.0) * std::max(inter_h, 0.0);
  const double iou = inter / (w * h + m.w * m.h - inter);
  const double hull_w = std::max(x + w / 2, m.x + m.w / 2) - std::min(x - w / 2, m.x - m.w / 2);
  const double hull_h = std::max(y + h / 2, m.y + m.h / 2) - std::min(y - h / 2, m.y - m.h / 2);
  const double distance =
      ((x - m.x) * (x - m.x) + (y - m.y) * (y - m.y)) / (hull_w * hull_w + hull_h * hull_h);
  const double v =
      4 / std::pow(std::acos(-1.0), 2) * std::pow(std::atan(m.w / m.h) - std::atan(w / h), 2);
  if (std::isnan(alpha)) alpha = v / (v - iou + 1);
  return iou - distance - alpha * v;
}

/// What the recipe says a gradient may flow through is `heads`; the objectness targets and alpha
/// are those of `frozen`. Returns the items and the total.
struct Plain {
  double box = 0, obj = 0, cls = 0, total = 0;
};
Plain plain_loss(const std::vector<Tensor>& heads, const std::vector<Tensor>& frozen,
                 const Tensor& targets, const DetectionLossOptions& o) {
  const auto dims = check_heads("test", heads, kAnchors);
  const auto matches = assign_targets(targets, dims, kAnchors, o.anchor_t);
  const double balance[2] = {4, 1};
  Plain result;
  for (size_t k = 0; k < heads.size(); ++k) {
    const HeadDims& d = dims[k];
    const double* now = heads[k].data<double>();
    const double* then = frozen[k].data<double>();
    std::vector<double> wanted(size_t(d.pictures * d.cells()), 0.0);
    double box = 0, cls = 0, obj = 0;
    for (const Match& m : matches[k]) {
      const int64_t i =
          ((m.picture * d.rows + m.row) * d.columns + m.column) * d.anchors + m.anchor;
      double alpha = std::nan("");
      wanted[size_t(i)] = std::max(0.0, plain_ciou(then + i * d.width, m, alpha));
      box += 1 - plain_ciou(now + i * d.width, m, alpha);
      for (int64_t c = 0; c < d.classes(); ++c) {
        const double t = c == m.class_id ? 1 - o.label_smoothing / 2 : o.label_smoothing / 2;
        cls += focal(now[i * d.width + 5 + c], t, o.cls_pw, o.fl_gamma);
      }
    }
    for (size_t i = 0; i < wanted.size(); ++i) {
      obj += focal(now[int64_t(i) * d.width + 4], wanted[i], o.obj_pw, o.fl_gamma);
    }
    const double n = double(matches[k].size());
    result.box += o.gains.box * (n > 0 ? box / n : 0);
    result.cls += o.gains.cls * (n > 0 && d.classes() > 1 ? cls / (n * double(d.classes())) : 0);
    result.obj += o.gains.obj * balance[k] * obj / double(wanted.size());
  }
  result.total = (result.box + result.obj + result.cls) * double(dims[0].pictures);
  return result;
}

/// Value and every derivative against the plain double loops above.
void check_against_plain(const DetectionLossOptions& options, int64_t classes = kClasses) {
  Tensor targets = some_targets();
  if (classes == 1) {
    for (int64_t row = 0; row < 5; ++row) targets.data<float>()[row * 6 + 1] = 0;
  }
  const std::vector<Tensor> heads = random_heads(11, 2, classes);
  const std::vector<Var> vars = leaves(heads);
  DetectionLossItems items;
  Tape tape;
  const Var total = detection_loss(vars, targets, kAnchors, options, &items);
  tape.backward(total);

  const Plain plain = plain_loss(heads, heads, targets, options);
  // eps = 1e-7 is left out of the plain CIoU
  CHECK(items.box == Approx(plain.box).epsilon(1e-6));
  CHECK(items.obj == Approx(plain.obj).epsilon(1e-6));
  CHECK(items.cls == Approx(plain.cls).epsilon(1e-6));
  CHECK(total.value().item() == Approx(plain.total).epsilon(1e-6));
  for (size_t k = 0; k < heads.size(); ++k) {
    double worst = 0;
    for (int64_t i = 0; i < heads[k].numel(); ++i) {
      std::vector<Tensor> moved = heads;
      moved[k] = heads[k].clone();
      moved[k].data<double>()[i] += 1e-5;
      const double above = plain_loss(moved, heads, targets, options).total;
      moved[k].data<double>()[i] -= 2e-5;
      const double below = plain_loss(moved, heads, targets, options).total;
      worst = test::worse(worst, std::abs((above - below) / 2e-5 - vars[k].grad().at(i)));
    }
    CHECK(worst < 1e-6);  // gradients here are of the order 0.1
  }
}

TEST_CASE("detection_loss: float32 cross entropy keeps its relative accuracy") {
  for (double x = -80; x <= 80; x += 0.173) {
    for (const double target : {0.0, 0.3, 1.0}) {
      const auto narrow = bce_and_grad(float(x), float(target), 1.5f);
      const auto wide = bce_and_grad(double(float(x)), double(float(target)), 1.5);
      CHECK(narrow.loss == Approx(wide.loss).epsilon(1e-6));
      // at 0.3 the two parts of the gradient cancel somewhere
      CHECK(narrow.grad == Approx(wide.grad).epsilon(1e-6).margin(target == 0.3 ? 1e-6 : 1e-38));
    }
  }
}

TEST_CASE("detection_loss: value and gradient agree with plain loops") {
  check_against_plain({});
}

TEST_CASE("detection_loss: weights and label smoothing agree with plain loops") {
  DetectionLossOptions options;
  options.cls_pw = 0.6;
  options.obj_pw = 1.7;
  options.label_smoothing = 0.1;
  options.gains = {0.3, 0.7, 1.9};
  check_against_plain(options);
}

TEST_CASE("detection_loss: focal loss agrees with plain loops at any gamma") {
  for (const double gamma : {0.5, 1.0, 1.5, 2.0, 2.7}) {
    INFO("gamma " << gamma);
    DetectionLossOptions options;
    options.fl_gamma = gamma;
    options.label_smoothing = 0.1;
    check_against_plain(options);
  }
}

TEST_CASE("detection_loss: float32 focal loss keeps its relative accuracy") {
  const auto check = [](float gamma, auto narrow_power, double limit) {
    for (double x = -40; x <= 40; x += 0.173) {
      for (const double target : {0.0, 0.3, 1.0}) {
        INFO("gamma " << gamma << ", logit " << x << ", target " << target);
        const auto narrow = focal_and_grad(float(x), float(target), 1.5f, gamma, narrow_power);
        const auto wide = focal_and_grad(double(float(x)), double(float(target)), 1.5,
                                         double(gamma), AnyPower<double>{double(gamma) - 1});
        CHECK(narrow.loss == Approx(wide.loss).epsilon(limit).margin(1e-36));
        // at 0.3 the parts of the gradient cancel somewhere
        CHECK(narrow.grad == Approx(wide.grad).epsilon(limit).margin(target == 0.3 ? 1e-6 : 1e-36));
      }
    }
  };
  check(1.5f, RootPower<float>{}, 2e-6);
  check(2.0f, FirstPower<float>{}, 2e-6);
  // An exponential repeats the error of its argument, up to 40, as a relative one.
  check(1.75f, AnyPower<float>{0.75f}, 1e-5);
  check(0.5f, AnyPower<float>{-0.5f}, 1e-5);
}

TEST_CASE("detection_loss: a focal loss of a box without doubt is zero, its gradient too") {
  for (const double gamma : {0.5, 1.0, 3.0}) {
    const auto sure = focal_and_grad(800.0, 1.0, 1.0, gamma, AnyPower<double>{gamma - 1});
    CHECK(sure.loss == 0);
    CHECK(sure.grad == 0);
  }
}

TEST_CASE("detection_loss: one class has no class term") {
  check_against_plain({}, 1);
  DetectionLossItems items;
  Tensor target = Tensor::of({1, 6}, {0, 0, 0.3f, 0.4f, 0.3f, 0.4f});
  detection_loss(leaves(random_heads(1, 2, 1)), target, kAnchors, {}, &items);
  CHECK(items.cls == 0);
  CHECK(items.box > 0);
}

// The objectness target and alpha are constants of the backward pass, so finite differences of the
// whole loss agree with it only where both do not move: without objectness and with v = 0 (square
// boxes on square anchors), and where the boxes do not overlap (target 0).
TEST_CASE("detection_loss: gradcheck of box and class term") {
  const Anchors square{{8}, {{{12, 12}, {20, 20}}}};
  Tensor head = Rng(4).uniform({2, 4, 4, 2, 8}, -1.5, 1.5, DType::kFloat64);
  for (int64_t i = 0; i < head.numel(); i += 8) {
    head.data<double>()[i + 3] = head.data<double>()[i + 2];
  }
  const Tensor targets = Tensor::of({3, 6}, {0, 0, 0.31f, 0.42f, 0.5f, 0.5f,  //
                                             0, 1, 0.33f, 0.40f, 0.6f, 0.6f,  //
                                             1, 2, 1.00f, 1.00f, 0.4f, 0.4f});
  DetectionLossOptions options;
  options.gains = {1, 0, 1};
  const auto result = gradcheck(
      [&](const std::vector<Var>& in) {
        return std::vector{detection_loss(in, targets, square, options)};
      },
      {head});
  INFO(result.where);
  CHECK(result);
}

TEST_CASE("detection_loss: gradcheck of the objectness term") {
  const auto with = [](const Tensor& targets, double gamma) {
    DetectionLossOptions options;
    options.gains = {0, 1, 0};
    options.obj_pw = 1.3;
    options.fl_gamma = gamma;
    const auto result = gradcheck(
        [&](const std::vector<Var>& in) {
          return std::vector{detection_loss(in, targets, kAnchors, options)};
        },
        random_heads(5));
    INFO(result.where);
    CHECK(result);
  };
  with(Tensor::zeros({0, 6}), 0);
  with(Tensor::zeros({0, 6}), 2);
}

TEST_CASE("detection_loss: the gradient follows grad_out") {
  const std::vector<Tensor> heads = random_heads(7);
  const auto grads = [&](double grad_out) {
    const std::vector<Var> vars = leaves(heads);
    Tape tape;
    tape.backward(detection_loss(vars, some_targets(), kAnchors, {}),
                  Tensor::full(Shape{}, grad_out, DType::kFloat64));
    return vars[0].grad();
  };
  const Tensor one = grads(1), three = grads(3);
  for (int64_t i = 0; i < one.numel(); i += 7) CHECK(three.at(i) == Approx(3 * one.at(i)));
}

TEST_CASE("detection_loss: without targets only the objectness counts") {
  const std::vector<Tensor> heads = random_heads(8);
  DetectionLossItems items;
  const Var total = detection_loss(leaves(heads), Tensor::zeros({0, 6}), kAnchors, {}, &items);
  CHECK(items.box == 0);
  CHECK(items.cls == 0);
  double expected = 0;
  for (size_t k = 0; k < 2; ++k) {
    double sum = 0;
    int64_t boxes = 0;
    for (int64_t i = 4; i < heads[k].numel(); i += 5 + kClasses, ++boxes) {
      sum += std::log1p(std::exp(heads[k].at(i)));
    }
    expected += (k == 0 ? 4.0 : 1.0) * sum / double(boxes);
  }
  CHECK(items.obj == Approx(expected));
  CHECK(total.value().item() == Approx(2 * expected));
}

TEST_CASE("detection_loss: an empty batch costs nothing") {
  const std::vector<Var> vars = leaves(random_heads(1, 0));
  Tape tape;
  const Var total = detection_loss(vars, Tensor::zeros({0, 6}), kAnchors, {});
  CHECK(total.value().item() == 0);
  tape.backward(total);
  CHECK(vars[0].grad().numel() == 0);
}

TEST_CASE("detection_loss: large logits stay finite") {
  std::vector<Tensor> heads{Tensor::full({1, 4, 6, 2, 8}, 300),
                            Tensor::full({1, 2, 3, 2, 8}, -300)};
  const std::vector<Var> vars = leaves(heads);
  Tape tape;
  const Tensor target = Tensor::of({1, 6}, {0, 1, 0.31f, 0.42f, 0.3f, 0.4f});
  const Var total = detection_loss(vars, target, kAnchors, {});
  CHECK(std::isfinite(total.value().item()));
  CHECK(total.value().item() > 100);
  tape.backward(total);
  CHECK(all_finite(vars[0].grad()));
  CHECK(all_finite(vars[1].grad()));
}

TEST_CASE("detection_loss: float32 agrees with float64") {
  std::vector<Tensor> narrow;
  const std::vector<Tensor> wide = random_heads(9);
  for (const Tensor& head : wide) narrow.push_back(head.to(DType::kFloat32));
  const std::vector<Var> narrow_vars = leaves(narrow), wide_vars = leaves(wide);
  Tape tape;
  const Var a = detection_loss(narrow_vars, some_targets(), kAnchors, {});
  const Var b = detection_loss(wide_vars, some_targets(), kAnchors, {});
  tape.backward({a, b}, {Tensor::full(Shape{}, 1), Tensor::full(Shape{}, 1, DType::kFloat64)});
  CHECK(a.dtype() == DType::kFloat32);
  CHECK(a.value().item() == Approx(b.value().item()).epsilon(1e-6));
  for (int64_t i = 0; i < wide[0].numel(); ++i) {
    CHECK(narrow_vars[0].grad().at(i) == Approx(wide_vars[0].grad().at(i)).margin(1e-6));
  }
}

TEST_CASE("detection_loss: of several matches of one box the last gives the objectness target") {
  // The same box and class twice, then a worse one: with it last, the target is its CIoU.
  const Anchors anchors{{8}, {{{8, 8}}}};
  const Tensor head = Tensor::zeros({1, 1, 1, 1, 7}, DType::kFloat64);  // centre 0.5, size 1
  const auto objectness = [&](std::initializer_list<float> numbers) {
    DetectionLossItems items;
    detection_loss(leaves({head}), Tensor::of({int64_t(numbers.size()) / 6, 6}, numbers), anchors,
                   {}, &items);
    return items;
  };
  const auto only_small = objectness({0, 0, 0.5f, 0.5f, 0.5f, 0.5f});
  const auto small_last = objectness({0, 0, 0.5f, 0.5f, 1, 1, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f});
  const auto small_first = objectness({0, 0, 0.5f, 0.5f, 0.5f, 0.5f, 0, 0, 0.5f, 0.5f, 1, 1});
  CHECK(small_last.obj == only_small.obj);
  // At logit 0 every target costs log 2; a weight of the positive part tells them apart.
  CHECK(only_small.obj == Approx(4 * std::log(2.0)));
  CHECK(small_last.box == Approx(small_first.box));  // both count in the box term either way
  DetectionLossOptions weighted;
  weighted.obj_pw = 2;
  const auto with_order = [&](const Tensor& targets) {
    DetectionLossItems items;
    detection_loss(leaves({head}), targets, anchors, weighted, &items);
    return items.obj;
  };
  CHECK(with_order(Tensor::of({2, 6}, {0, 0, 0.5f, 0.5f, 1, 1, 0, 0, 0.5f, 0.5f, 0.5f, 0.5f})) ==
        Approx(4 * std::log(2.0) * 1.25));  // CIoU 0.25
  CHECK(with_order(Tensor::of({2, 6}, {0, 0, 0.5f, 0.5f, 0.5f, 0.5f, 0, 0, 0.5f, 0.5f, 1, 1})) ==
        Approx(4 * std::log(2.0) * 2).epsilon(1e-6));  // CIoU 1
}

TEST_CASE("detection_loss: pictures without labels are left out") {
  // Pictures 0 and 1 of 3 are labelled: the loss of those two alone.
  const std::vector<Tensor> three = random_heads(12, 3);
  std::vector<Tensor> two;
  for (const Tensor& head : three) two.push_back(head.slice(0, 2));
  const std::vector<Var> three_vars = leaves(three), two_vars = leaves(two);
  DetectionLossOptions options;
  options.labelled = flags({1, 1, 0});
  DetectionLossItems a, b;
  Tape tape;
  const Var part = detection_loss(three_vars, some_targets(), kAnchors, options, &a);
  const Var whole = detection_loss(two_vars, some_targets(), kAnchors, {}, &b);
  tape.backward({part, whole}, {Tensor::full(Shape{}, 1, DType::kFloat64),
                                Tensor::full(Shape{}, 1, DType::kFloat64)});
  CHECK(part.value().item() == Approx(whole.value().item()));
  CHECK(a.obj == Approx(b.obj));
  for (size_t k = 0; k < 2; ++k) {
    const int64_t labelled = two[k].numel();
    for (int64_t i = 0; i < three[k].numel(); ++i) {
      const double expected = i < labelled ? two_vars[k].grad().at(i) : 0;
      CHECK(three_vars[k].grad().at(i) == Approx(expected).margin(1e-15));
    }
  }
  options.labelled = flags({0, 0, 0});
  CHECK(detection_loss(three_vars, Tensor::zeros({0, 6}), kAnchors, options).value().item() == 0);
}

TEST_CASE("detection_loss: the result does not depend on the threads") {
  const Anchors anchors{{8}, {{{10, 13}, {16, 30}, {33, 23}}}};
  const Tensor head = Rng(3).uniform({2, 40, 40, 3, 7}, -3, 3);
  const Tensor targets = Tensor::of({1, 6}, {1, 0, 0.3f, 0.4f, 0.05f, 0.05f});
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    const double total = detection_loss(leaves({head}), targets, anchors, {}).value().item();
    set_num_threads(before);
    return total;
  };
  CHECK(run(1) == run(3));
}

TEST_CASE("detection_loss: gains are scaled by heads and classes and picture size") {
  const LossGains voc = scaled_gains({}, 20, 3, 640);
  CHECK(voc.box == Approx(0.05));
  CHECK(voc.cls == Approx(0.125));
  CHECK(voc.obj == Approx(1));
  const LossGains other = scaled_gains({}, 80, 4, 320);
  CHECK(other.box == Approx(0.0375));
  CHECK(other.cls == Approx(0.375));
  CHECK(other.obj == Approx(0.1875));
  CHECK_THROWS_WITH_TEXT(scaled_gains({}, 0, 3, 640), ValueError, "0 classes, 3 heads");
}

// The numbers come from YOLOv5 v7.0's ComputeLoss in float64, for logits 2 sin(0.7 i + k), i
// counting through [N, A, row, column, 5 + C] of head k, and a picture of 64 x 128 pixels.
TEST_CASE("detection_loss: four heads as in YOLOv5") {
  constexpr int64_t kPictures = 2, kAnchorsPerCell = 3, kWidth = 5 + kClasses;
  const Anchors anchors = graph_by_name("yolov5n6").anchors;
  std::vector<Tensor> heads;
  for (int64_t k = 0; k < 4; ++k) {
    const int64_t rows = 8 >> k, columns = 16 >> k;
    heads.push_back(
        Tensor::empty({kPictures, rows, columns, kAnchorsPerCell, kWidth}, DType::kFloat64));
    double* const logits = heads.back().data<double>();
    for (int64_t i = 0; i < heads.back().numel(); ++i) {
      const int64_t c = i % kWidth, column = i / kWidth % columns,
                    row = i / kWidth / columns % rows,
                    anchor = i / kWidth / columns / rows % kAnchorsPerCell,
                    picture = i / kWidth / columns / rows / kAnchorsPerCell;
      const int64_t cell = (picture * rows + row) * columns + column;
      logits[(cell * kAnchorsPerCell + anchor) * kWidth + c] =
          2 * std::sin(0.7 * double(i) + double(k));
    }
  }
  const Tensor targets = Tensor::of({4, 6}, {0, 1, 0.5f,  0.5f, 0.4f,  0.5f,   //
                                             0, 2, 0.2f,  0.3f, 0.1f,  0.22f,  //
                                             1, 2, 0.7f,  0.6f, 0.9f,  0.8f,   //
                                             1, 0, 0.11f, 0.8f, 0.25f, 0.16f});
  DetectionLossOptions options;
  options.gains = scaled_gains({}, kClasses, 4, 128);
  const std::vector<Var> vars = leaves(heads);
  DetectionLossItems items;
  Tape tape;
  const Var total = detection_loss(vars, targets, anchors, options, &items);
  tape.backward(total);
  CHECK(items.box == Approx(0.07030715048313141).epsilon(1e-6));
  CHECK(items.obj == Approx(0.14662706851959229).epsilon(1e-6));
  CHECK(items.cls == Approx(0.021974574774503708).epsilon(1e-6));
  CHECK(total.value().item() == Approx(0.4778175950050354).epsilon(1e-6));
  const double grad_norms[] = {0.0065993546234796125, 0.0042319302683652, 0.0012239853470704285,
                               0.0005342265308245405};
  for (size_t k = 0; k < 4; ++k) {
    CHECK(std::sqrt(square_sum(vars[k].grad())) == Approx(grad_norms[k]).epsilon(1e-5));
  }
}

TEST_CASE("detection_loss: bad options and targets are refused") {
  const std::vector<Var> vars = leaves(random_heads(1));
  const Tensor target = Tensor::of({1, 6}, {0, 1, 0.3f, 0.4f, 0.3f, 0.4f});
  const auto run = [&](auto change) {
    DetectionLossOptions options;
    change(options);
    return detection_loss(vars, target, kAnchors, options);
  };
  CHECK_THROWS_WITH_TEXT(run([](auto& o) {
                           o.balance = {1, 2, 3};
                         }),
                         ValueError, "balance has 3 entries, there are 2 heads");
  CHECK_THROWS_WITH_TEXT(run([](auto& o) { o.label_smoothing = 1; }), ValueError,
                         "label_smoothing is 1, must be below 1");
  CHECK_THROWS_WITH_TEXT(run([](auto& o) { o.gains.box = -1; }), ValueError,
                         "gains.box is -1, must be at least 0");
  CHECK_THROWS_WITH_TEXT(run([](auto& o) { o.anchor_t = 0.5; }), ValueError, "anchor_t");
  CHECK_THROWS_WITH_TEXT(run([](auto& o) { o.labelled = flags({1}); }), ValueError,
                         "1 flags in labelled, the batch has 2 pictures");
  CHECK_THROWS_WITH_TEXT(run([](auto& o) {
                           o.labelled = flags({0, 1});
                         }),
                         ValueError, "target 0 belongs to picture 0, which is not labelled");
  CHECK_THROWS_WITH_TEXT(
      detection_loss(vars, Tensor::of({1, 6}, {0, 9, .3f, .4f, .3f, .4f}), kAnchors, {}),
      ValueError, "target 0: class 9, the heads have 3 classes (0 to 2)");
  CHECK_THROWS_WITH_TEXT(detection_loss({vars[0]}, target, kAnchors, {}), ShapeError,
                         "detection_loss: 1 heads, but anchors for 2");
  CHECK_THROWS_WITH_TEXT(detection_loss({vars[0], Var()}, target, kAnchors, {}), ShapeError,
                         "head 1 is undefined");
}

}  // namespace
}  // namespace ydistill
