// SPDX-License-Identifier: MIT
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/distill/distill_loss.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/decode.h>

#include <cmath>

#include "support/catch.h"
#include "support/worst.h"

namespace ydistill {
namespace {

constexpr auto kKinds = {DistillKind::kL2, DistillKind::kKl, DistillKind::kBce};
const Anchors kAnchors{{8, 16}, {{{10, 13}, {16, 12}}, {{20, 17}, {24, 30}}}};
const Anchors kOthers{{8, 16}, {{{12, 10}, {20, 15}}, {{17, 22}, {33, 21}}}};

/// `classes` above 16 make the sums over classes use their lanes.
std::vector<Tensor> random_heads(uint64_t seed, int64_t classes = 3, int64_t pictures = 2,
                                 DType dtype = DType::kFloat64) {
  Rng rng(seed);
  return {rng.uniform({pictures, 3, 2, 2, 5 + classes}, -3, 3, dtype),
          rng.uniform({pictures, 1, 2, 2, 5 + classes}, -3, 3, dtype)};
}

std::vector<Var> leaves(const std::vector<Tensor>& heads) {
  std::vector<Var> result;
  for (const Tensor& head : heads) result.push_back(Var::leaf(head.clone()));
  return result;
}

DistillOptions options_of(DistillKind kind, double temperature = 20, LossGains gains = {}) {
  return {kind, temperature, gains};
}

double s(double x) {
  return 1 / (1 + std::exp(-x));
}

/// One box's class measure, by its definition.
double class_measure(const DistillOptions& o, const double* student, const double* teacher,
                     int64_t classes) {
  double sum = 0, norm_s = 0, norm_t = 0;
  for (int64_t c = 0; c < classes; ++c) {
    norm_s += std::exp(student[c] / o.temperature);
    norm_t += std::exp(teacher[c] / o.temperature);
  }
  for (int64_t c = 0; c < classes; ++c) {
    const double p = std::exp(student[c] / o.temperature) / norm_s;
    const double q = std::exp(teacher[c] / o.temperature) / norm_t;
    if (o.kind == DistillKind::kL2) sum += std::pow(student[c] - teacher[c], 2);
    if (o.kind == DistillKind::kKl) sum += o.temperature * o.temperature * q * std::log(q / p);
    if (o.kind == DistillKind::kBce) {
      const double target = s(teacher[c]);
      sum -= target * std::log(s(student[c])) + (1 - target) * std::log(1 - s(student[c]));
    }
  }
  return sum;
}

DistillTerms plain_terms(const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
                         const DistillOptions& o) {
  DistillTerms terms;
  for (size_t k = 0; k < student.size(); ++k) {
    const int64_t width = student[k].size(4), boxes = student[k].numel() / width;
    const double scale = double(student[k].size(0)) / double(boxes);
    for (int64_t i = 0; i < boxes; ++i) {
      const double* a = student[k].data<double>() + i * width;
      const double* b = teacher[k].data<double>() + i * width;
      const double w = s(b[4]);
      for (int c = 0; c < 4; ++c)
        terms.box += o.gains.box * scale * w * std::pow(a[c] - b[c], 2) / 4;
      terms.obj += o.gains.obj * scale * w * std::pow(a[4] - b[4], 2);
      terms.cls +=
          o.gains.cls * scale * w * class_measure(o, a + 5, b + 5, width - 5) / double(width - 5);
    }
  }
  return terms;
}

TEST_CASE("distill_loss: the terms agree with their definition") {
  for (const DistillKind kind : kKinds) {
    for (const int64_t classes : {3, 37, 1203}) {
      const auto student = random_heads(1, classes), teacher = random_heads(2, classes);
      const DistillOptions options = options_of(kind, 4, {0.3, 0.7, 1.1});
      const DistillTerms expected = plain_terms(student, teacher, options);
      DistillTerms terms;
      const Var total = distill_loss(leaves(student), teacher, kAnchors, kAnchors, options, &terms);
      CHECK(terms.box == Approx(expected.box));
      CHECK(terms.obj == Approx(expected.obj));
      CHECK(terms.cls == Approx(expected.cls));
      CHECK(total.value().item() == Approx(expected.box + expected.obj + expected.cls));
    }
  }
}

TEST_CASE("distill_loss: the cross entropy of the objectness counts every box alike") {
  const auto student = random_heads(1), teacher = random_heads(2);
  DistillOptions options = options_of(DistillKind::kL2, 4, {0, 0.7, 0});
  options.objectness = DistillObjectness::kBce;
  double expected = 0;
  for (size_t k = 0; k < student.size(); ++k) {
    const int64_t width = student[k].size(4), boxes = student[k].numel() / width;
    for (int64_t i = 0; i < boxes; ++i) {
      const double p = s(student[k].at(i * width + 4)), q = s(teacher[k].at(i * width + 4));
      expected -= 0.7 * 2 / double(boxes) * (q * std::log(p) + (1 - q) * std::log(1 - p));
    }
  }
  DistillTerms terms;
  distill_loss(leaves(student), teacher, kAnchors, kAnchors, options, &terms);
  CHECK(terms.obj == Approx(expected));
  CHECK(terms.box == 0);
  CHECK(terms.cls == 0);
}

/// The sum of the teacher's weights over all heads.
double objects_of(const std::vector<Tensor>& teacher) {
  double sum = 0;
  for (const Tensor& head : teacher) {
    const int64_t width = head.size(4);
    for (int64_t i = 4; i < head.numel(); i += width) sum += s(head.at(i));
  }
  return sum;
}

TEST_CASE("distill_loss: per object, box and class terms are sums over the sum of the weights") {
  for (const DistillKind kind : kKinds) {
    for (const Anchors& teacher_anchors : {kAnchors, kOthers}) {
      const auto student = random_heads(1), teacher = random_heads(2);
      DistillOptions options = options_of(kind, 4, {0.3, 0.7, 1.1});
      // Of the sums over one head alone the other mean gives means over its boxes.
      DistillTerms sums, means;
      for (size_t k = 0; k < 2; ++k) {
        const Anchors of_student{{kAnchors.strides[k]}, {kAnchors.wh_px[k]}};
        const Anchors of_teacher{{kAnchors.strides[k]}, {teacher_anchors.wh_px[k]}};
        const double boxes = double(student[k].numel()) / 8;
        DistillTerms of_head;
        distill_loss(leaves({student[k]}), {teacher[k]}, of_student, of_teacher, options, &of_head);
        sums.box += boxes * of_head.box;
        sums.cls += boxes * of_head.cls;
        means.obj += of_head.obj;
      }
      options.mean = DistillMean::kObjects;
      DistillTerms terms;
      distill_loss(leaves(student), teacher, kAnchors, teacher_anchors, options, &terms);
      const double objects = objects_of(teacher);
      CHECK(objects > 2);
      CHECK(terms.box == Approx(sums.box / objects));
      CHECK(terms.cls == Approx(sums.cls / objects));
      CHECK(terms.obj == Approx(means.obj));
    }
  }
}

TEST_CASE("distill_loss: per object, a box counts as much whatever is empty around it") {
  // The same four boxes by themselves and among sixty where the teacher sees nothing.
  const Anchors one{{8}, {{{10, 13}}}};
  const Tensor student = Rng(1).uniform({1, 8, 8, 1, 8}, -2, 2, DType::kFloat64);
  const Tensor teacher = Rng(2).uniform({1, 8, 8, 1, 8}, -2, 2, DType::kFloat64);
  const Tensor few_s = Tensor::zeros({1, 1, 4, 1, 8}, DType::kFloat64), few_t = few_s.clone();
  for (int64_t i = 0; i < 64; ++i) {
    double& objectness = teacher.data<double>()[i * 8 + 4];
    objectness = i < 4 ? 1.5 : -60;
  }
  for (int64_t i = 0; i < 32; ++i) {
    few_s.data<double>()[i] = student.at(i);
    few_t.data<double>()[i] = teacher.at(i);
  }
  DistillOptions options = options_of(DistillKind::kL2, 4, {0.3, 0.7, 1.1});
  const auto run = [&](const Tensor& a, const Tensor& b) {
    DistillTerms terms;
    distill_loss(leaves({a}), {b}, one, one, options, &terms);
    return terms;
  };
  CHECK(run(student, teacher).box == Approx(run(few_s, few_t).box / 16));
  options.mean = DistillMean::kObjects;
  CHECK(run(student, teacher).box == Approx(run(few_s, few_t).box));
  CHECK(run(student, teacher).cls == Approx(run(few_s, few_t).cls));
}

TEST_CASE("distill_loss: per object, where nothing is to be seen little is said") {
  auto teacher = random_heads(9);
  for (const Tensor& head : teacher) {
    for (int64_t i = 4; i < head.numel(); i += 8) head.data<double>()[i] = -12;
  }
  DistillOptions options = options_of(DistillKind::kL2, 4, {1, 1, 1});
  options.mean = DistillMean::kObjects;
  DistillTerms terms;
  distill_loss(leaves(random_heads(10)), teacher, kAnchors, kAnchors, options, &terms);
  CHECK(objects_of(teacher) < 1e-3);
  CHECK(terms.box < 0.01);
  CHECK(terms.cls < 0.01);
}

TEST_CASE("distill_loss: gradcheck per object") {
  for (const DistillKind kind : kKinds) {
    for (const bool fm_nms : {false, true}) {
      const auto teacher = random_heads(4);
      DistillOptions options = options_of(kind, 5, {1, 1, 1});
      options.mean = DistillMean::kObjects;
      options.fm_nms = fm_nms;
      const auto result = gradcheck(
          [&](const std::vector<Var>& student) {
            return std::vector{distill_loss(student, teacher, kAnchors, kOthers, options)};
          },
          random_heads(3));
      INFO("kind " << int(kind) << ": " << result.where);
      CHECK(result);
    }
  }
}

TEST_CASE("distill_loss: gradcheck of every kind with the same and with other anchors") {
  for (const DistillKind kind : kKinds) {
    for (const Anchors& teacher_anchors : {kAnchors, kOthers}) {
      for (const int64_t classes : {2, 21}) {
        const auto teacher = random_heads(4, classes);
        const auto result = gradcheck(
            [&](const std::vector<Var>& student) {
              return std::vector{distill_loss(student, teacher, kAnchors, teacher_anchors,
                                              options_of(kind, 5, {1, 1, 1}))};
            },
            random_heads(3, classes));
        INFO("kind " << int(kind) << ", classes " << classes << ": " << result.where);
        CHECK(result);
      }
    }
  }
}

TEST_CASE("distill_loss: the divergence's gradient is that of its softmaxes, for any classes") {
  const Anchors one{{8}, {{{10, 13}}}};
  constexpr double kT = 4;
  for (const int64_t classes : {2, 16, 512, 513, 1203}) {
    Rng rng{uint64_t(classes)};
    const Tensor student = rng.uniform({1, 1, 1, 1, 5 + classes}, -3, 3, DType::kFloat64);
    const Tensor teacher = rng.uniform({1, 1, 1, 1, 5 + classes}, -3, 3, DType::kFloat64);
    const std::vector<Var> leaf = leaves({student});
    const LossGains gains{0, 0, 1};
    Tape tape;
    tape.backward(distill_loss(leaf, {teacher}, one, one, options_of(DistillKind::kKl, kT, gains)));
    double norm_s = 0, norm_t = 0, worst = 0;
    for (int64_t c = 5; c < 5 + classes; ++c) {
      norm_s += std::exp(student.at(c) / kT);
      norm_t += std::exp(teacher.at(c) / kT);
    }
    const double factor = s(teacher.at(4)) / double(classes) * kT;
    for (int64_t c = 5; c < 5 + classes; ++c) {
      const double p = std::exp(student.at(c) / kT) / norm_s;
      const double q = std::exp(teacher.at(c) / kT) / norm_t;
      worst = test::worse(worst, std::abs(leaf[0].grad().at(c) - factor * (p - q)));
    }
    INFO("classes " << classes);
    CHECK(worst < 1e-14);
  }
}

TEST_CASE("distill_loss: a student that equals its teacher has no loss and no gradient") {
  for (const DType dtype : {DType::kFloat32, DType::kFloat64}) {
    for (const DistillKind kind : kKinds) {
      const auto heads = random_heads(5, 23, 2, dtype);
      const std::vector<Var> student = leaves(heads);
      Tape tape;
      DistillTerms terms;
      const Var total = distill_loss(student, heads, kAnchors, kAnchors, options_of(kind), &terms);
      tape.backward(total);
      CHECK(terms.box == 0);
      CHECK(terms.obj == 0);
      if (kind == DistillKind::kBce) {
        CHECK(terms.cls > 0);  // the entropy of the teacher
      } else {
        CHECK(terms.cls == 0);
      }
      for (const Var& head : student) {
        for (int64_t i = 0; i < head.grad().numel(); ++i) CHECK(head.grad().at(i) == 0);
      }
    }
  }
}

TEST_CASE("distill_loss: with other anchors the loss is zero where the decoded boxes agree") {
  // (2 sigmoid(s))^2 a_s = (2 sigmoid(t))^2 a_t: sigmoid(s) = sqrt(a_t / a_s) sigmoid(t)
  const auto teacher = random_heads(6);
  std::vector<Tensor> student;
  for (size_t k = 0; k < teacher.size(); ++k) {
    student.push_back(teacher[k].clone());
    double* x = student[k].data<double>();
    for (int64_t box = 0; box < teacher[k].numel() / 8; ++box, x += 8) {
      for (int side = 0; side < 2; ++side) {
        const size_t anchor = size_t(box % 2), wh = size_t(side);
        double* logit = &x[2 + side];
        *logit = std::min(*logit, -0.5);
        teacher[k].data<double>()[box * 8 + 2 + side] = *logit;
        const double ratio = kOthers.wh_px[k][anchor][wh] / kAnchors.wh_px[k][anchor][wh];
        const double p = std::sqrt(ratio) * s(*logit);
        *logit = std::log(p / (1 - p));
      }
    }
  }
  const Tensor student_boxes = decode_heads(student, kAnchors);
  const Tensor teacher_boxes = decode_heads(teacher, kOthers);
  for (int64_t i = 0; i < student_boxes.numel(); ++i) {
    CHECK(student_boxes.at(i) == Approx(teacher_boxes.at(i)));
  }
  DistillTerms terms;
  distill_loss(leaves(student), teacher, kAnchors, kOthers, options_of(DistillKind::kL2), &terms);
  CHECK(terms.box == Approx(0).margin(1e-12));
  CHECK(terms.obj == 0);
  CHECK(terms.cls == 0);
}

TEST_CASE("distill_loss: anchors that differ by the rounding of a checkpoint are the same") {
  Anchors rounded = kAnchors;
  rounded.wh_px[1][1][0] *= 1.0004;
  CHECK(same_anchors(kAnchors, rounded));
  CHECK_FALSE(same_anchors(kAnchors, kOthers));
  CHECK_FALSE(same_anchors(kAnchors, Anchors::yolov5()));
}

TEST_CASE("distill_loss: one class has no class term") {
  for (const DistillKind kind : kKinds) {
    const std::vector<Var> student = leaves(random_heads(7, 1));
    DistillTerms terms;
    Tape tape;
    tape.backward(
        distill_loss(student, random_heads(8, 1), kAnchors, kAnchors, options_of(kind), &terms));
    CHECK(terms.cls == 0);
    CHECK(terms.box > 0);
    CHECK(student[0].grad().at(5) == 0);
    CHECK(student[0].grad().at(4) != 0);
  }
}

TEST_CASE("distill_loss: a teacher that sees no object teaches nothing") {
  auto teacher = random_heads(9);
  for (const Tensor& head : teacher) {
    for (int64_t i = 4; i < head.numel(); i += 8) head.data<double>()[i] = -60;
  }
  const Var total = distill_loss(leaves(random_heads(10)), teacher, kAnchors, kAnchors, {});
  CHECK(total.value().item() < 1e-20);
}

TEST_CASE("distill_loss: the teacher stays as it is and gets no gradient") {
  const auto teacher = random_heads(11);
  const Tensor before = teacher[0].clone();
  const std::vector<Var> student = leaves(random_heads(12));
  Tape tape;
  tape.backward(distill_loss(student, teacher, kAnchors, kOthers, {}));
  CHECK(tape.num_nodes() == 0);
  for (int64_t i = 0; i < before.numel(); ++i) CHECK(teacher[0].at(i) == before.at(i));
}

TEST_CASE("distill_loss: an empty batch costs nothing") {
  const auto heads = random_heads(1, 3, 0);
  CHECK(distill_loss(leaves(heads), heads, kAnchors, kAnchors, {}).value().item() == 0);
}

TEST_CASE("distill_loss: large logits stay finite") {
  for (const DistillKind kind : kKinds) {
    const auto filled = [](double value) {
      Tensor wide = Tensor::full({1, 3, 2, 2, 25}, value),
             deep = Tensor::full({1, 1, 2, 2, 25}, value);
      for (int64_t i = 7; i < wide.numel(); i += 25) wide.data<float>()[i] = float(-value);
      return std::vector{wide, deep};
    };
    const std::vector<Var> student = leaves(filled(500));
    Tape tape;
    const Var total = distill_loss(student, filled(-400), kAnchors, kOthers, options_of(kind, 1));
    CHECK(std::isfinite(total.value().item()));
    tape.backward(total);
    CHECK(all_finite(student[0].grad()));
  }
}

TEST_CASE("distill_loss: the result does not depend on the threads") {
  const Anchors anchors{{8}, {{{10, 13}, {16, 30}, {33, 23}}}};
  const Tensor student = Rng(1).uniform({2, 40, 40, 3, 25}, -3, 3);
  const Tensor teacher = Rng(2).uniform({2, 40, 40, 3, 25}, -3, 3);
  DistillOptions options = options_of(DistillKind::kKl);
  options.mean = DistillMean::kObjects;
  const auto run = [&](int threads) {
    const int before = num_threads();
    set_num_threads(threads);
    const double total =
        distill_loss(leaves({student}), {teacher}, anchors, anchors, options).value().item();
    set_num_threads(before);
    return total;
  };
  CHECK(run(1) == run(3));
}

TEST_CASE("distill_loss: gains are scaled by classes and size but the box gain is not") {
  // VOC at 640 with three heads: 0.05, 1.0, 0.125
  const LossGains voc = scaled_distill_gains(1, {}, 20, 3, 640);
  CHECK(voc.box == Approx(0.05));
  CHECK(voc.obj == Approx(1));
  CHECK(voc.cls == Approx(0.125));
  const LossGains other = scaled_distill_gains(2, {}, 80, 4, 320);
  CHECK(other.box == Approx(0.1));
  CHECK(other.obj == Approx(2 * 0.1875));
  CHECK(other.cls == Approx(2 * 0.375));
}

TEST_CASE("distill_loss: the kind is chosen by name") {
  CHECK(distill_kind_of("l2") == DistillKind::kL2);
  CHECK(distill_kind_of("kl") == DistillKind::kKl);
  CHECK(distill_kind_of("bce") == DistillKind::kBce);
  CHECK_THROWS_WITH_TEXT(distill_kind_of("mse"), ValueError, "is none of");
}

TEST_CASE("distill_loss: a teacher that does not fit is refused") {
  const std::vector<Var> student = leaves(random_heads(1));
  const auto teacher = random_heads(2);
  const auto run = [&](const std::vector<Tensor>& heads, const Anchors& anchors = kAnchors,
                       const DistillOptions& options = {}) {
    return distill_loss(student, heads, kAnchors, anchors, options);
  };
  CHECK_THROWS_WITH_TEXT(run({teacher[0]}), ShapeError, "the student has 2 heads, the teacher 1");
  CHECK_THROWS_WITH_TEXT(run(random_heads(2, 4)), ShapeError,
                         "head 0: the student's is float64 [2,3,2,2,8], the teacher's float64 "
                         "[2,3,2,2,9]");
  CHECK_THROWS_WITH_TEXT(run({teacher[0], Tensor()}), ShapeError, "the teacher's undefined");
  CHECK_THROWS_WITH_TEXT(run(random_heads(2, 3, 2, DType::kFloat32)), DTypeError,
                         "the teacher's float32");
  Anchors strides = kAnchors;
  strides.strides[1] = 32;
  CHECK_THROWS_WITH_TEXT(run(teacher, strides), ValueError,
                         "head 1: the student's stride is 16, the teacher's 32");
  CHECK_THROWS_WITH_TEXT(run(teacher, Anchors::yolov5()), ShapeError,
                         "distill_loss: teacher: 2 heads, but anchors for 3");
  CHECK_THROWS_WITH_TEXT(run(teacher, kAnchors, options_of(DistillKind::kKl, 0)), ValueError,
                         "temperature is 0, must be > 0");
  CHECK_THROWS_WITH_TEXT(run(teacher, kAnchors, options_of(DistillKind::kL2, 1, {-1, 1, 1})),
                         ValueError, "a gain is -1");
}

}  // namespace
}  // namespace ydistill
