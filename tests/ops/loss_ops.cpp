// SPDX-License-Identifier: MIT
#include <ydistill/distill/distill_loss.h>
#include <ydistill/distill/feature_loss.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/target_assignment.h>

#include "ops/op_cases.h"

namespace ydistill::test {
namespace {

/// Two scales of a 32-pixel picture, two anchors each, three classes.
Anchors small_anchors(double grow = 1) {
  Anchors anchors;
  anchors.strides = {8, 16};
  anchors.wh_px = {{{10 * grow, 13 * grow}, {16, 30}}, {{30, 20 * grow}, {33, 23}}};
  return anchors;
}

std::vector<Tensor> heads(uint64_t seed) {
  Rng rng(seed);
  return {rng.uniform({2, 4, 4, 2, 8}, -1.5, 1.5, DType::kFloat64),
          rng.uniform({2, 2, 2, 2, 8}, -1.5, 1.5, DType::kFloat64)};
}

/// The logits of a teacher beside the student's.
std::vector<Tensor> teacher_for(const Var& student) {
  std::vector<Tensor> out;
  for (const Tensor& t : heads(2)) out.push_back(t.to(student.dtype()).to(student.device()));
  return out;
}

/// Targets where the heads are; on a GPU with rows of none at the end.
Tensor targets_for(const Var& head, const Tensor& targets) {
  if (head.device().is_cpu()) return targets;
  return padded_targets(targets, targets.size(0) + 3).to(head.device());
}

const std::set<size_t> kBothHeads{0, 1};

OpCase distill_case(const std::string& variant, DistillKind kind, double grow,
                    DistillObjectness objectness = DistillObjectness::kL2, bool fm_nms = false) {
  return {"distill_loss",
          variant,
          heads(1),
          [=](const std::vector<Var>& in) {
            DistillOptions options;
            options.kind = kind;
            options.temperature = 4;
            options.objectness = objectness;
            options.fm_nms = fm_nms;
            return std::vector{distill_loss(in, teacher_for(in[0]), small_anchors(),
                                            small_anchors(grow), options)};
          },
          /*accepts_empty_batch=*/false,
          kBothHeads};
}

}  // namespace

std::vector<OpCase> loss_op_cases() {
  std::vector<OpCase> cases;
  // The box term's CIoU holds its alpha constant, and the objectness target is a constant: finite
  // differences of the whole loss would see both move. Those two are checked with the constants
  // held in tests/yolo; here the class term with targets, and the objectness without.
  cases.push_back({"detection_loss", "class term", heads(3),
                   [](const std::vector<Var>& in) {
                     DetectionLossOptions options;
                     options.gains = {0, 0, 0.5};
                     const Tensor targets = Tensor::of({3, 6}, {0, 1, 0.31f, 0.42f, 0.4f, 0.5f,  //
                                                                0, 2, 0.71f, 0.60f, 0.6f, 0.4f,  //
                                                                1, 0, 0.55f, 0.13f, 0.5f, 0.6f});
                     return std::vector{
                         detection_loss(in, targets_for(in[0], targets), small_anchors(), options)};
                   },
                   false, kBothHeads});
  cases.push_back({"detection_loss", "objectness of a picture without targets", heads(4),
                   [](const std::vector<Var>& in) {
                     return std::vector{detection_loss(
                         in, targets_for(in[0], Tensor::empty({0, 6})), small_anchors(), {})};
                   },
                   false, kBothHeads});
  cases.push_back(distill_case("l2", DistillKind::kL2, 1));
  cases.push_back(distill_case("kl", DistillKind::kKl, 1));
  cases.push_back(distill_case("bce", DistillKind::kBce, 1));
  cases.push_back(
      distill_case("kl with bce of the objectness", DistillKind::kKl, 1, DistillObjectness::kBce));
  cases.push_back(distill_case("l2 with other anchors", DistillKind::kL2, 1.3));
  cases.push_back(
      distill_case("bce with FM-NMS", DistillKind::kBce, 1, DistillObjectness::kBce, true));
  cases.push_back({"feature_loss",
                   "",
                   {Rng(5).uniform({2, 4, 4, 5}, -1, 1, DType::kFloat64),
                    Rng(6).uniform({2, 2, 2, 16}, -1, 1, DType::kFloat64)},
                   [](const std::vector<Var>& in) {
                     std::vector<Tensor> teacher;
                     for (size_t k = 0; k < in.size(); ++k) {
                       const Tensor map = Rng(7 + k).uniform(in[k].shape(), -1, 1, DType::kFloat64);
                       teacher.push_back(map.to(in[k].dtype()).to(in[k].device()));
                     }
                     Tensor term;
                     return std::vector{feature_loss(in, teacher, 1.5, term)};
                   },
                   /*accepts_empty_batch=*/false});
  return cases;
}

}  // namespace ydistill::test
