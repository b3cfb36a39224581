// SPDX-License-Identifier: MIT
#include <ydistill/train/step.h>

namespace ydistill {

StepNumbers numbers_of(const StepResult& result) {
  StepNumbers numbers;
  if (result.detection_terms.defined()) {
    const Tensor terms = result.detection_terms.to(Device::cpu());
    numbers.detection = {terms.at(0), terms.at(1), terms.at(2)};
    numbers.detection_total = result.detection_total.item();
  }
  if (result.distill_terms.defined()) {
    const Tensor terms = result.distill_terms.to(Device::cpu());
    numbers.distill = {terms.at(0), terms.at(1), terms.at(2)};
    numbers.distill_total = result.distill_total.item();
  }
  return numbers;
}

StepResult losses_and_gradients(const std::vector<Tensor>& heads, const Tensor& targets,
                                const std::vector<Tensor>& teacher_heads,
                                const StepLosses& losses) {
  StepResult result;
  std::vector<Var> leaves;
  for (const Tensor& head : heads) leaves.push_back(Var::leaf(head));
  Tape tape;
  std::vector<Var> totals;
  if (losses.detection) {
    totals.push_back(detection_loss(leaves, targets, losses.student_anchors, *losses.detection,
                                    result.detection_terms));
    result.detection_total = totals.back().value();
  }
  if (losses.distill) {
    totals.push_back(distill_loss(leaves, teacher_heads, losses.student_anchors,
                                  losses.teacher_anchors, *losses.distill, result.distill_terms));
    result.distill_total = totals.back().value();
  }
  std::vector<Tensor> ones;
  for (const Var& total : totals) {
    ones.push_back(Tensor::full(total.shape(), 1, total.dtype(), total.device()));
  }
  tape.backward(totals, ones);
  for (const Var& leaf : leaves) result.grad_heads.push_back(leaf.grad());
  return result;
}

StepResult forward_backward(Model& student, const Tensor& images, const Tensor& targets,
                            const std::vector<Tensor>& teacher_heads, const StepLosses& losses,
                            const ForwardBackwardOptions& options) {
  Tape tape;
  const std::vector<Var> outputs = student.forward(images, ForwardMode::kTrain);
  std::vector<Tensor> logits;
  for (const Var& output : outputs) logits.push_back(output.value());
  if (options.before_losses) options.before_losses();
  StepResult result = losses_and_gradients(logits, targets, teacher_heads, losses);
  if (options.heads != nullptr) *options.heads = logits;
  tape.backward(outputs, result.grad_heads);
  return result;
}

}  // namespace ydistill
