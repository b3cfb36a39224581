// SPDX-License-Identifier: MIT
#include <ydistill/train/step.h>

namespace ydistill {

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
                                    &result.detection));
    result.detection_total = totals.back().value().item();
  }
  if (losses.distill) {
    totals.push_back(distill_loss(leaves, teacher_heads, losses.student_anchors,
                                  losses.teacher_anchors, *losses.distill, &result.distill));
    result.distill_total = totals.back().value().item();
  }
  std::vector<Tensor> ones;
  for (const Var& total : totals) ones.push_back(Tensor::full(total.shape(), 1, total.dtype()));
  tape.backward(totals, ones);
  for (const Var& leaf : leaves) result.grad_heads.push_back(leaf.grad());
  return result;
}

StepResult forward_backward(Model& student, const Tensor& images, const Tensor& targets,
                            const std::vector<Tensor>& teacher_heads, const StepLosses& losses,
                            std::vector<Tensor>* heads) {
  Tape tape;
  const std::vector<Var> outputs = student.forward(images, ForwardMode::kTrain);
  std::vector<Tensor> logits;
  for (const Var& output : outputs) logits.push_back(output.value());
  StepResult result = losses_and_gradients(logits, targets, teacher_heads, losses);
  if (heads != nullptr) *heads = logits;
  tape.backward(outputs, result.grad_heads);
  return result;
}

}  // namespace ydistill
