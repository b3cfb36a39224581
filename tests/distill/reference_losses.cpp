// SPDX-License-Identifier: MIT
#include "distill/reference_losses.h"

#include <ydistill/autograd/var.h>
#include <ydistill/distill/distill_loss.h>
#include <ydistill/yolo/detection_loss.h>

#include "support/catch.h"
#include "yolo/reference_cases.h"

namespace ydistill::test {
namespace {

struct Computed {
  Tensor loss, terms;
  std::vector<Tensor> grads;
};

std::vector<Tensor> moved(const std::vector<Tensor>& tensors, Device device) {
  std::vector<Tensor> out;
  for (const Tensor& t : tensors) out.push_back(t.to(device));
  return out;
}

Computed compute(const Reference& reference, const ReferenceCase& c, Device device) {
  const Anchors anchors = reference.anchors("anchors.student");
  std::vector<Var> heads;
  for (const Tensor& head : moved(reference.heads("det.train_head"), device)) {
    heads.push_back(Var::leaf(head));
  }

  Tape tape;
  std::vector<Var> totals;
  DetectionLossItems items;
  DistillTerms terms;
  double detection = 0, distillation = 0;
  if (c.detection) {
    DetectionLossOptions options;
    options.gains = c.gains;
    totals.push_back(
        detection_loss(heads, reference.targets(c).to(device), anchors, options, &items));
    detection = totals.back().value().item();
  }
  if (c.distill != "none") {
    const Anchors teacher = c.other_anchors ? reference.anchors("anchors.teacher") : anchors;
    const DistillOptions options{distill_kind_of(c.distill), c.temperature, c.distill_gains};
    totals.push_back(distill_loss(heads, moved(reference.heads("teacher.head"), device), anchors,
                                  teacher, options, &terms));
    distillation = totals.back().value().item();
  }
  tape.backward(totals, std::vector<Tensor>(totals.size(), Tensor::full(Shape{}, 1).to(device)));

  Computed result;
  result.loss = Tensor::of({5}, {float(items.box), float(items.obj), float(items.cls),
                                 float(detection), float(distillation)});
  result.terms = Tensor::of({3}, {float(terms.box), float(terms.obj), float(terms.cls)});
  for (const Var& head : heads) result.grads.push_back(head.grad().to(Device::cpu()));
  return result;
}

}  // namespace

void check_reference_losses(const std::filesystem::path& path, Device device) {
  const Reference reference(path);
  int compared = 0;
  for (const ReferenceCase& c : reference.cases) {
    if (c.steps != 0) continue;
    INFO("case " << c.name);
    const Computed ours = compute(reference, c, device);
    CHECK(reference.share_of_limit(ours.loss, c.name + ".loss") <= 1);
    CHECK(reference.share_of_limit(ours.terms, c.name + ".distill_terms") <= 1);
    for (size_t k = 0; k < ours.grads.size(); ++k) {
      const std::string name = c.name + ".grad_head" + std::to_string(k);
      CHECK(reference.share_of_limit(ours.grads[k], name) <= 1);
    }
    ++compared;
  }
  CHECK(compared == 13);
}

}  // namespace ydistill::test
