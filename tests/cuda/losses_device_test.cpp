// SPDX-License-Identifier: MIT
// Both losses on a GPU: against the CPU, which is checked by itself, and against the recorded
// batches.
#include <ydistill/distill/distill_loss.h>
#include <ydistill/distill/feature_loss.h>
#include <ydistill/distill/feature_map_nms.h>
#include <ydistill/distill/restrict_classes.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/scaled_grads.h>
#include <ydistill/yolo/target_assignment.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cuda/capture.h"
#include "cuda/gpu.h"
#include "cuda/small_training.h"
#include "distill/reference_losses.h"
#include "support/files.h"

namespace ydistill::test {
namespace {

const Device kGpu = Device::cuda();
/// Two heads of 2 anchors for pictures of 32 x 48 pixels.
const Anchors kAnchors{{8, 16}, {{{10, 13}, {16, 12}}, {{20, 17}, {24, 30}}}};
const Anchors kOthers{{8, 16}, {{{12, 10}, {20, 15}}, {{17, 22}, {33, 21}}}};
constexpr auto kKinds = {DistillKind::kL2, DistillKind::kKl, DistillKind::kBce};

std::vector<Tensor> random_heads(uint64_t seed, int64_t classes = 3, int64_t pictures = 3) {
  Rng rng(seed);
  return {rng.uniform({pictures, 4, 6, 2, 5 + classes}, -3, 3),
          rng.uniform({pictures, 2, 3, 2, 5 + classes}, -3, 3)};
}

Tensor rows(const std::vector<std::array<float, 6>>& targets) {
  std::vector<float> numbers;
  for (const auto& row : targets) numbers.insert(numbers.end(), row.begin(), row.end());
  return Tensor::of<float>({int64_t(targets.size()), 6}, numbers);
}

/// Classes below 3 of pictures 0 and 2: neighbours; four times the same box, as two classes and
/// with other sizes; centres on the line between cells, in the corners and on the edges; one too
/// small for any anchor.
std::vector<std::array<float, 6>> some_targets() {
  return {{0, 0, 0.31f, 0.42f, 0.30f, 0.40f}, {0, 2, 0.31f, 0.42f, 0.33f, 0.35f},
          {2, 1, 1.00f, 1.00f, 0.25f, 0.45f}, {0, 2, 0.31f, 0.42f, 0.28f, 0.50f},
          {2, 0, 0.70f, 0.61f, 0.50f, 0.70f}, {0, 1, 0.31f, 0.42f, 0.30f, 0.40f},
          {2, 2, 0.20f, 0.20f, 0.01f, 0.01f}, {2, 2, 0.50f, 0.50f, 0.30f, 0.40f},
          {0, 1, 0.00f, 1.00f, 0.30f, 0.30f}, {0, 0, 1.00f, 0.00f, 0.40f, 0.30f},
          {2, 1, 0.50f, 0.99f, 0.60f, 0.60f}};
}

Tensor flags(const std::vector<uint8_t>& labelled) {
  return Tensor::of<uint8_t>({int64_t(labelled.size())}, labelled);
}

struct Loss {
  double total = 0;
  Tensor terms;
  std::vector<Tensor> grads;  // on the CPU
};

/// loss(heads, terms) and its gradients, times grad_out, for heads on `device`.
template <class F>
Loss compute(const std::vector<Tensor>& heads, Device device, F loss, double grad_out = 1) {
  std::vector<Var> leaves;
  for (const Tensor& head : heads) leaves.push_back(Var::leaf(head.to(device).clone()));
  Tape tape;
  Loss result;
  Tensor terms;
  const Var total = loss(leaves, terms);
  CHECK(total.device() == device);
  CHECK(total.dtype() == heads[0].dtype());
  CHECK(terms.device() == device);
  CHECK(terms.dtype() == DType::kFloat64);
  tape.backward(total, Tensor::full(Shape{}, grad_out, heads[0].dtype()).to(device));
  result.total = total.value().item();
  result.terms = terms.to(Device::cpu());
  for (const Var& leaf : leaves) result.grads.push_back(leaf.grad().to(Device::cpu()));
  return result;
}

Loss detection(const std::vector<Tensor>& heads, const Tensor& targets, Device device,
               DetectionLossOptions options = {}, double grad_out = 1) {
  options.labelled = options.labelled.to(device);
  return compute(
      heads, device,
      [&](const std::vector<Var>& leaves, Tensor& terms) {
        return detection_loss(leaves, targets.to(device), kAnchors, options, terms);
      },
      grad_out);
}

Loss distillation(const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
                  const Anchors& teacher_anchors, const DistillOptions& options, Device device) {
  std::vector<Tensor> there;
  for (const Tensor& head : teacher) there.push_back(head.to(device));
  return compute(student, device, [&](const std::vector<Var>& leaves, Tensor& terms) {
    return distill_loss(leaves, there, kAnchors, teacher_anchors, options, terms);
  });
}

/// Equal within `tolerance` of the largest number of the group (box, objectness, classes).
void check_grad(const Tensor& got, const Tensor& expected, double tolerance) {
  REQUIRE(got.shape() == expected.shape());
  const int64_t width = expected.size(4);
  const auto group = [&](int64_t i) { return i % width < 4 ? 0 : i % width == 4 ? 1 : 2; };
  double largest[3] = {};
  for (int64_t i = 0; i < got.numel(); ++i) {
    largest[group(i)] = std::max(largest[group(i)], std::abs(expected.at(i)));
  }
  for (int64_t i = 0; i < got.numel(); ++i) {
    if (!(std::abs(got.at(i) - expected.at(i)) <= tolerance * largest[group(i)])) {
      FAIL("element " << i << ": " << got.at(i) << " against " << expected.at(i));
    }
  }
}

void check_same(const Loss& got, const Loss& expected, double tolerance) {
  for (int64_t i = 0; i < 3; ++i) {
    INFO("term " << i);
    CHECK(std::abs(got.terms.at(i) - expected.terms.at(i)) <=
          tolerance * std::abs(expected.terms.at(i)));
  }
  CHECK(std::abs(got.total - expected.total) <= tolerance * std::abs(expected.total));
  for (size_t k = 0; k < expected.grads.size(); ++k) {
    INFO("head " << k);
    check_grad(got.grads[k], expected.grads[k], tolerance);
  }
}

// Both backends compute the same float formulas, up to fused multiplications and the order of short
// sums; CIoU's gradient and the softmax divergence are differences of larger terms. Without fusing,
// the worst seen is 1.3e-6 (divergence at temperature 20), else 4e-7.
constexpr double kTolerance = 1e-5;

/// Options that reach every branch, by name.
std::vector<std::pair<const char*, DetectionLossOptions>> option_cases() {
  std::vector<std::pair<const char*, DetectionLossOptions>> cases{{"defaults", {}}};
  const auto add = [&](const char* name, auto change) {
    cases.emplace_back(name, DetectionLossOptions());
    change(cases.back().second);
  };
  add("focal", [](auto& o) {
    o.fl_gamma = 1.5;
    o.label_smoothing = 0.1;
  });
  add("weights", [](auto& o) {
    o.cls_pw = 0.6;
    o.obj_pw = 1.7;
  });
  add("smoothing", [](auto& o) { o.label_smoothing = 0.2; });
  add("gains and balance", [](auto& o) {
    o.gains = {0.3, 0.7, 1.9};
    o.balance = {0.5, 3};
  });
  add("strict anchors", [](auto& o) { o.anchor_t = 1.5; });
  add("one picture not labelled", [](auto& o) { o.labelled = flags({1, 0, 1}); });
  return cases;
}

TEST_CASE("gpu: detection_loss agrees with the CPU under every option") {
  YD_NEEDS_GPU();
  const Tensor targets = rows(some_targets());
  for (const auto& [name, options] : option_cases()) {
    for (const int64_t classes : {3, 80}) {
      INFO(name << ", classes " << classes);
      const auto heads = random_heads(1, classes);
      const Loss expected = detection(heads, targets, Device::cpu(), options);
      CHECK(expected.terms.at(0) > 0);
      check_same(detection(heads, targets, kGpu, options), expected, kTolerance);
    }
  }
}

TEST_CASE("gpu: detection_loss of one class has no class term") {
  YD_NEEDS_GPU();
  auto targets = some_targets();
  for (auto& row : targets) row[1] = 0;
  const auto heads = random_heads(2, 1);
  const Loss got = detection(heads, rows(targets), kGpu);
  check_same(got, detection(heads, rows(targets), Device::cpu()), kTolerance);
  CHECK(got.terms.at(2) == 0);
  for (int64_t i = 5; i < got.grads[0].numel(); i += 6) CHECK(got.grads[0].at(i) == 0);
}

TEST_CASE("gpu: detection_loss leaves out rows of no picture wherever they stand") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(3);
  const auto targets = some_targets();
  const Loss expected = detection(heads, rows(targets), kGpu);
  check_same(detection(heads, padded_targets(rows(targets), 300), kGpu), expected, 0);
  auto mixed = targets;
  const float nan = std::numeric_limits<float>::quiet_NaN();
  mixed.insert(mixed.begin() + 2, {-1, 1, 0.4f, 0.4f, 0.3f, 0.4f});
  mixed.insert(mixed.begin(), {3, 1, 0.4f, 0.4f, 0.3f, 0.4f});
  mixed.insert(mixed.begin() + 4, {-0.5f, 1, 0.4f, 0.4f, 0.3f, 0.4f});
  mixed.insert(mixed.begin() + 5, {nan, 1, 0.4f, 0.4f, 0.3f, 0.4f});
  check_same(detection(heads, rows(mixed), kGpu), expected, kTolerance);
}

TEST_CASE("gpu: detection_loss leaves out targets of a picture without labels") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(4);
  DetectionLossOptions options;
  options.labelled = flags({1, 0, 1});
  const Loss expected = detection(heads, rows(some_targets()), Device::cpu(), options);
  auto more = some_targets();
  more.push_back({1, 0, 0.4f, 0.4f, 0.3f, 0.4f});
  const Loss got = detection(heads, rows(more), kGpu, options);
  check_same(got, expected, kTolerance);
  const int64_t picture = got.grads[0].numel() / 3;
  for (int64_t i = picture; i < 2 * picture; ++i) CHECK(got.grads[0].at(i) == 0);
}

TEST_CASE("gpu: detection_loss without targets counts the objectness alone") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(5);
  const Loss expected = detection(heads, Tensor::empty({0, 6}), Device::cpu());
  for (const int64_t capacity : {0, 7}) {
    const Tensor none = padded_targets(Tensor::empty({0, 6}), capacity);
    const Loss got = detection(heads, none, kGpu);
    check_same(got, expected, kTolerance);
    CHECK(got.terms.at(0) == 0);
    CHECK(got.terms.at(2) == 0);
  }
}

TEST_CASE("gpu: detection_loss of no labelled picture and of an empty batch is zero") {
  YD_NEEDS_GPU();
  DetectionLossOptions options;
  options.labelled = flags({0, 0, 0});
  const Loss none = detection(random_heads(6), rows(some_targets()), kGpu, options);
  CHECK(none.total == 0);
  for (int64_t i = 0; i < none.grads[0].numel(); ++i) CHECK(none.grads[0].at(i) == 0);
  CHECK(detection(random_heads(6, 3, 0), padded_targets(Tensor::empty({0, 6}), 4), kGpu).total ==
        0);
}

TEST_CASE("gpu: detection_loss takes the last of several matches of a box") {
  YD_NEEDS_GPU();
  // All targets answer for the only box; the last decides the objectness target, all count else.
  const Anchors anchors{{8}, {{{8, 8}}}};
  const Tensor head = Tensor::of({1, 1, 1, 1, 7}, {0.3f, -0.2f, 0.1f, 0.2f, 0.7f, -0.4f, 0.9f});
  std::vector<std::array<float, 6>> targets;
  for (int i = 0; i < 40; ++i) {
    targets.push_back({0, float(i % 2), 0.5f, 0.5f, 0.3f + 0.0175f * float(i * 7 % 40), 1});
  }
  const auto on = [&](Device device) {
    return compute({head}, device, [&](const std::vector<Var>& leaves, Tensor& terms) {
      return detection_loss(leaves, rows(targets).to(device), anchors, {}, terms);
    });
  };
  const Loss expected = on(Device::cpu());
  check_same(on(kGpu), expected, kTolerance);
  std::swap(targets[39], targets[3]);
  CHECK(on(Device::cpu()).terms.at(1) != expected.terms.at(1));
  check_same(on(kGpu), on(Device::cpu()), kTolerance);
}

TEST_CASE("gpu: detection_loss gives the same bits in whatever order its threads run") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(7, 80);
  const Tensor targets = padded_targets(rows(some_targets()), 64);
  const Loss once = detection(heads, targets, kGpu);
  const OtherOrder order;
  check_same(detection(heads, targets, kGpu), once, 0);
}

TEST_CASE("gpu: losses without a tape have the same value") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(8), teacher = random_heads(9);
  std::vector<Var> constants;
  std::vector<Tensor> there;
  for (size_t k = 0; k < 2; ++k) {
    constants.emplace_back(heads[k].to(kGpu));
    there.push_back(teacher[k].to(kGpu));
  }
  const Tensor targets = rows(some_targets());
  DetectionLossItems items;
  const Var total = detection_loss(constants, targets.to(kGpu), kAnchors, {}, &items);
  const Loss with = detection(heads, targets, kGpu);
  CHECK(total.value().item() == with.total);
  CHECK(items.box == with.terms.at(0));
  CHECK(items.obj == with.terms.at(1));
  CHECK(items.cls == with.terms.at(2));
  DistillTerms terms;
  distill_loss(constants, there, kAnchors, kOthers, {}, &terms);
  const Loss distilled = distillation(heads, teacher, kOthers, {}, kGpu);
  CHECK(terms.box == distilled.terms.at(0));
  CHECK(terms.obj == distilled.terms.at(1));
  CHECK(terms.cls == distilled.terms.at(2));
}

TEST_CASE("gpu: the gradient of a loss follows grad_out") {
  YD_NEEDS_GPU();
  const Tensor targets = rows(some_targets());
  for (const int64_t classes : {3, 4}) {  // numbers of elements that are multiples of 4 and not
    const auto heads = random_heads(10, classes, 1);
    auto first_picture = some_targets();
    std::erase_if(first_picture, [](const auto& row) { return row[0] > 0; });
    const Tensor own = rows(first_picture);
    const Loss one = detection(heads, own, kGpu), three = detection(heads, own, kGpu, {}, 3);
    for (size_t k = 0; k < 2; ++k) {
      for (int64_t i = 0; i < one.grads[k].numel(); ++i) {
        CHECK(float(three.grads[k].at(i)) == 3 * float(one.grads[k].at(i)));
      }
    }
  }
  const Tensor odd = Rng(1).uniform({7}, -1, 1), there = odd.to(kGpu).clone();
  scaled_grads({there, Tensor()}, Tensor::full(Shape{}, -0.5).to(kGpu));
  for (int64_t i = 0; i < 7; ++i) CHECK(there.at(i) == -0.5 * odd.at(i));
}

TEST_CASE("gpu: distill_loss agrees with the CPU in every kind and width") {
  YD_NEEDS_GPU();
  // Widths of 6 to 85 numbers: groups of 8, 16 and 32 lanes, and more channels than lanes.
  for (const int64_t classes : {1, 3, 8, 20, 37, 80}) {
    const auto student = random_heads(11, classes), teacher = random_heads(12, classes);
    for (const DistillKind kind : kKinds) {
      for (const Anchors& anchors : {kAnchors, kOthers}) {
        INFO("kind " << int(kind) << ", classes " << classes << ", other anchors "
                     << !same_anchors(anchors, kAnchors));
        const DistillOptions options{kind, 4, {0.3, 0.7, 1.1}};
        const Loss expected = distillation(student, teacher, anchors, options, Device::cpu());
        CHECK(expected.terms.at(0) > 0);
        CHECK((expected.terms.at(2) > 0) == (classes > 1));
        check_same(distillation(student, teacher, anchors, options, kGpu), expected, kTolerance);
      }
    }
  }
}

TEST_CASE("gpu: distill_loss of more boxes than a block takes agrees with the CPU") {
  YD_NEEDS_GPU();
  const Anchors anchors{{8}, {{{10, 13}, {16, 30}, {33, 23}}}};
  const Tensor student = Rng(1).uniform({2, 9, 13, 3, 25}, -3, 3);
  const Tensor teacher = Rng(2).uniform({2, 9, 13, 3, 25}, -3, 3);
  for (const DistillKind kind : kKinds) {
    const auto on = [&](Device device) {
      return compute({student}, device, [&](const std::vector<Var>& leaves, Tensor& terms) {
        return distill_loss(leaves, {teacher.to(device)}, anchors, anchors, {kind, 20, {}}, terms);
      });
    };
    check_same(on(kGpu), on(Device::cpu()), kTolerance);
  }
}

TEST_CASE("gpu: distill_loss of a student that equals its teacher is exactly zero") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(13, 23);
  for (const DistillKind kind : kKinds) {
    const Loss loss = distillation(heads, heads, kAnchors, {kind, 20, {}}, kGpu);
    CHECK(loss.terms.at(0) == 0);
    CHECK(loss.terms.at(1) == 0);
    CHECK((loss.terms.at(2) == 0) == (kind != DistillKind::kBce));
    for (const Tensor& grad : loss.grads) {
      for (int64_t i = 0; i < grad.numel(); ++i) CHECK(grad.at(i) == 0);
    }
  }
}

TEST_CASE("gpu: distill_loss gives the same bits in whatever order its threads run") {
  YD_NEEDS_GPU();
  const auto student = random_heads(14, 37), teacher = random_heads(15, 37);
  for (const DistillKind kind : kKinds) {
    const Loss once = distillation(student, teacher, kOthers, {kind, 20, {}}, kGpu);
    const OtherOrder order;
    check_same(distillation(student, teacher, kOthers, {kind, 20, {}}, kGpu), once, 0);
  }
}

TEST_CASE("gpu: FM-NMS leaves out the boxes that it leaves out on the CPU, in the loss too") {
  YD_NEEDS_GPU();
  for (const int64_t classes : {1, 3, 80}) {
    const auto student = random_heads(23, classes), teacher = random_heads(24, classes);
    for (const Tensor& head : teacher) {
      const Tensor got = feature_map_nms(head.to(kGpu)), expected = feature_map_nms(head);
      CHECK(difference(got, expected) == 0);
    }
    for (const DistillObjectness objectness : {DistillObjectness::kL2, DistillObjectness::kBce}) {
      const DistillOptions options{DistillKind::kL2, 4, {}, objectness, /*fm_nms=*/true};
      check_same(distillation(student, teacher, kAnchors, options, kGpu),
                 distillation(student, teacher, kAnchors, options, Device::cpu()), kTolerance);
    }
  }
  CHECK_THROWS_AS(feature_map_nms(random_heads(25)[0].to(DType::kFloat64).to(kGpu)), DTypeError);
}

TEST_CASE("gpu: a teacher of other classes teaches what it teaches on the CPU") {
  YD_NEEDS_GPU();
  for (const int64_t classes : {3, 40, 80}) {
    const auto student = random_heads(31, classes), teacher = random_heads(32, classes);
    for (const Tensor& head : teacher) {
      using Sizes = std::vector<int64_t>;
      for (const Sizes& sizes : {Sizes(size_t(classes / 3), 1), Sizes{1, classes / 3}}) {
        const Tensor got = restrict_classes(head.to(kGpu), ClassParts(sizes, kGpu));
        CHECK(difference(got, restrict_classes(head, ClassParts(sizes))) < kTolerance);
      }
    }
    for (const DistillKind kind : kKinds) {
      for (const DistillObjectness objectness : {DistillObjectness::kL2, DistillObjectness::kBce}) {
        DistillOptions options{kind, 4, {0.3, 0.7, 1.1}, objectness};
        options.known_classes = {1, classes - 1};
        if (objectness == DistillObjectness::kBce) options.mean = DistillMean::kObjects;
        check_same(distillation(student, teacher, kAnchors, options, kGpu),
                   distillation(student, teacher, kAnchors, options, Device::cpu()), kTolerance);
      }
    }
  }
  const auto wide = random_heads(33, 1025);
  DistillOptions options;
  options.known_classes = {0};
  CHECK_THROWS_WITH_TEXT(distillation(wide, wide, kAnchors, options, kGpu), ValueError,
                         "1025 classes of which some are unknown, on a GPU at most 1024");
  const Tensor head = random_heads(25)[0];
  CHECK_THROWS_AS(restrict_classes(head.to(DType::kFloat64).to(kGpu), ClassParts({1}, kGpu)),
                  DTypeError);
  CHECK_THROWS_AS(restrict_classes(head.to(kGpu), ClassParts({1})), DeviceError);
}

TEST_CASE("gpu: per object, distill_loss divides by what it divides by on the CPU") {
  YD_NEEDS_GPU();
  for (const DistillKind kind : kKinds) {
    for (const bool fm_nms : {false, true}) {
      const auto student = random_heads(34, 5), teacher = random_heads(35, 5);
      DistillOptions options{kind, 4, {0.3, 0.7, 1.1}, DistillObjectness::kBce, fm_nms};
      options.mean = DistillMean::kObjects;
      const Loss got = distillation(student, teacher, kOthers, options, kGpu);
      check_same(got, distillation(student, teacher, kOthers, options, Device::cpu()), kTolerance);
      const OtherOrder order;
      check_same(distillation(student, teacher, kOthers, options, kGpu), got, 0);
    }
  }
  // Where the teacher sees nothing at all.
  auto teacher = random_heads(36, 5);
  for (const Tensor& head : teacher) {
    for (int64_t i = 4; i < head.numel(); i += 10) head.data<float>()[i] = -20;
  }
  DistillOptions options{DistillKind::kL2, 4, {0.3, 0.7, 1.1}, DistillObjectness::kBce};
  options.mean = DistillMean::kObjects;
  const auto student = random_heads(37, 5);
  check_same(distillation(student, teacher, kAnchors, options, kGpu),
             distillation(student, teacher, kAnchors, options, Device::cpu()), kTolerance);
}

TEST_CASE("gpu: distill_loss of an empty batch is zero") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(16, 3, 0);
  CHECK(distillation(heads, heads, kAnchors, {}, kGpu).total == 0);
  DistillOptions per_object;
  per_object.mean = DistillMean::kObjects;
  CHECK(distillation(heads, heads, kAnchors, per_object, kGpu).total == 0);
}

/// Maps of two scales; widths that 16 bytes do not divide, and more than a block has.
std::vector<Tensor> random_maps(uint64_t seed, int64_t channels, DType dtype,
                                int64_t pictures = 2) {
  Rng rng(seed);
  return {rng.uniform({pictures, 9, 7, channels}, -2, 3).to(dtype),
          rng.uniform({pictures, 4, 3, 2 * channels}, -2, 3).to(dtype)};
}

Loss features(const std::vector<Tensor>& student, const std::vector<Tensor>& teacher,
              Device device) {
  std::vector<Var> leaves;
  std::vector<Tensor> there;
  for (size_t k = 0; k < student.size(); ++k) {
    leaves.push_back(Var::leaf(student[k].to(device).clone()));
    there.push_back(teacher[k].to(device));
  }
  Tape tape;
  Loss loss;
  const Var total = feature_loss(leaves, there, 1.5, loss.terms);
  CHECK(total.dtype() == DType::kFloat32);
  tape.backward(total, Tensor::full(Shape{}, 0.5).to(device));
  loss.total = total.value().item();
  loss.terms = loss.terms.to(Device::cpu());
  for (const Var& leaf : leaves) loss.grads.push_back(leaf.grad().to(Device::cpu()));
  return loss;
}

// Of the bits that bfloat16 keeps of a gradient the last may differ, and again when it is halved.
TEST_CASE("gpu: feature_loss agrees with the CPU in every width, in float32 and bfloat16") {
  YD_NEEDS_GPU();
  for (const DType dtype : {DType::kFloat32, DType::kBFloat16}) {
    const double tolerance = dtype == DType::kFloat32 ? 1e-5 : 1.0 / 128;
    for (const int64_t channels : {1, 3, 8, 24, 37, 136}) {
      INFO(name_of(dtype) << ", " << channels << " channels");
      const auto student = random_maps(17, channels, dtype);
      const auto teacher = random_maps(18, channels, dtype);
      const Loss expected = features(student, teacher, Device::cpu());
      const Loss got = features(student, teacher, kGpu);
      CHECK(expected.total > 1);
      CHECK(got.total == Approx(expected.total).epsilon(1e-6));
      CHECK(got.terms.at(0) == Approx(expected.terms.at(0)).epsilon(1e-6));
      for (size_t k = 0; k < 2; ++k) {
        CHECK(difference(got.grads[k], expected.grads[k]) < tolerance);
      }
    }
  }
}

TEST_CASE("gpu: feature_loss gives the same bits in whatever order its threads run") {
  YD_NEEDS_GPU();
  const auto student = random_maps(19, 37, DType::kFloat32);
  const auto teacher = random_maps(20, 37, DType::kFloat32);
  const Loss once = features(student, teacher, kGpu);
  const OtherOrder order;
  const Loss again = features(student, teacher, kGpu);
  CHECK(again.total == once.total);
  for (size_t k = 0; k < 2; ++k) CHECK(difference(again.grads[k], once.grads[k]) == 0);
}

TEST_CASE("gpu: feature_loss of an empty batch is zero, float64 maps are refused") {
  YD_NEEDS_GPU();
  const auto none = random_maps(21, 8, DType::kFloat32, 0);
  CHECK(features(none, none, kGpu).total == 0);
  const auto wide = random_maps(22, 8, DType::kFloat64);
  CHECK_THROWS_AS(features(wide, wide, kGpu), DTypeError);
}

TEST_CASE("gpu: losses refuse operands that live apart or are float64") {
  YD_NEEDS_GPU();
  const auto heads = random_heads(17);
  const std::vector<Var> there{Var(heads[0].to(kGpu)), Var(heads[1].to(kGpu))};
  const Tensor targets = rows(some_targets());
  CHECK_THROWS_WITH_TEXT(detection_loss(there, targets, kAnchors, {}), DeviceError,
                         "the heads are on cuda:0, targets on cpu");
  DetectionLossOptions options;
  options.labelled = flags({1, 1, 1});
  CHECK_THROWS_WITH_TEXT(detection_loss(there, targets.to(kGpu), kAnchors, options), DeviceError,
                         "the heads are on cuda:0, labelled on cpu");
  CHECK_THROWS_WITH_TEXT(detection_loss({there[0], Var(heads[1])}, targets, kAnchors, {}),
                         DeviceError, "head 1 is on cpu, head 0 on cuda:0");
  CHECK_THROWS_WITH_TEXT(distill_loss(there, heads, kAnchors, kAnchors, {}), DeviceError,
                         "head 0: the student's is on cuda:0, the teacher's on cpu");
  std::vector<Var> wide;
  for (const Tensor& head : heads) wide.emplace_back(head.to(DType::kFloat64).to(kGpu));
  CHECK_THROWS_WITH_TEXT(detection_loss(wide, targets.to(kGpu), kAnchors, {}), DTypeError,
                         "on a GPU the heads must be float32, they are float64");
  CHECK_THROWS_WITH_TEXT(
      distill_loss(wide, {wide[0].value(), wide[1].value()}, kAnchors, kAnchors, {}), DTypeError,
      "on a GPU the heads must be float32, they are float64");
}

TEST_CASE("gpu: losses refuse more anchors than their kernels take") {
  YD_NEEDS_GPU();
  const Anchors many{{8}, {std::vector<std::array<double, 2>>(33, {10, 13})}};
  const Tensor head = Tensor::zeros({1, 1, 1, 33, 7}, DType::kFloat32, kGpu);
  CHECK_THROWS_WITH_TEXT(detection_loss({Var(head)}, Tensor::empty({0, 6}).to(kGpu), many, {}),
                         ValueError, "detection_loss: 33 anchors a cell, on a GPU at most 32");
  CHECK_THROWS_WITH_TEXT(distill_loss({Var(head)}, {head}, many, many, {}), ValueError,
                         "distill_loss: 33 anchors a cell, on a GPU at most 32");
}

TEST_CASE("gpu: captured losses follow other targets and flags when they are replayed") {
  YD_NEEDS_GPU();
  const auto arena = Arena::create(int64_t(1) << 28, kGpu);
  const auto heads = random_heads(18), teacher = random_heads(19);
  const Tensor first = padded_targets(rows(some_targets()), 16);
  const Tensor second = padded_targets(rows({{1, 2, 0.6f, 0.3f, 0.3f, 0.5f}}), 16);
  const Tensor all = flags({1, 1, 1}), some = flags({0, 1, 1});
  // What stays where it is: inputs, and copies of the results.
  std::vector<Tensor> student, taught, grads;
  for (size_t k = 0; k < 2; ++k) {
    student.push_back(heads[k].to(kGpu));
    taught.push_back(teacher[k].to(kGpu));
    grads.push_back(Tensor::zeros(heads[k].shape(), DType::kFloat32, kGpu));
  }
  const Tensor targets = first.to(kGpu), one = Tensor::full(Shape{}, 1).to(kGpu);
  const Tensor terms = Tensor::zeros({2, 3}, DType::kFloat64, kGpu);
  DetectionLossOptions options;
  options.labelled = all.to(kGpu);
  const auto work = [&] {
    const ArenaScope scope(arena);
    std::vector<Var> leaves;
    for (const Tensor& head : student) leaves.push_back(Var::leaf(head));
    Tape tape;
    Tensor of_detection, of_distillation;
    const Var detection_total = detection_loss(leaves, targets, kAnchors, options, of_detection);
    const Var distill_total =
        distill_loss(leaves, taught, kAnchors, kOthers, {DistillKind::kKl, 5, {}}, of_distillation);
    tape.backward({detection_total, distill_total}, {one, one});
    terms.slice(0, 1).copy_from(of_detection.reshape({1, 3}));
    terms.slice(1, 2).copy_from(of_distillation.reshape({1, 3}));
    for (size_t k = 0; k < 2; ++k) grads[k].copy_from(leaves[k].grad());
  };
  const auto results = [&] {
    std::vector<Tensor> read{terms.to(Device::cpu())};
    for (const Tensor& grad : grads) read.push_back(grad.to(Device::cpu()));
    return read;
  };
  const auto differences = [](const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
    int64_t count = 0;
    for (size_t k = 0; k < a.size(); ++k) {
      for (int64_t i = 0; i < a[k].numel(); ++i) count += a[k].at(i) != b[k].at(i) ? 1 : 0;
    }
    return count;
  };
  work();
  const auto expected_first = results();
  CapturedWork captured(work);
  targets.copy_from(second);
  options.labelled.copy_from(some);
  work();
  const auto expected_second = results();
  CHECK(differences(expected_first, expected_second) > 100);
  captured.replay();
  CHECK(differences(results(), expected_second) == 0);
  targets.copy_from(first);
  options.labelled.copy_from(all);
  captured.replay();
  CHECK(differences(results(), expected_first) == 0);
}

TEST_CASE("gpu: losses of the recorded yolov5s and yolov5m batch agree in every case") {
  YD_NEEDS_GPU();
  YD_REFERENCE_OR_SKIP(path, "reference/train_s_m.safetensors");
  check_reference_losses(path, kGpu);
}

TEST_CASE("gpu: losses of the recorded yolov5n batch agree in every case") {
  YD_NEEDS_GPU();
  YD_REFERENCE_OR_SKIP(path, "reference/train_n_v6.safetensors");
  check_reference_losses(path, kGpu);
}

}  // namespace
}  // namespace ydistill::test
