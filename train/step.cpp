// SPDX-License-Identifier: MIT
#include <ydistill/train/step.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include <ydistill/distill/feature_loss.h>
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/square_sum.h>

namespace ydistill {
namespace {

/// The gradients of a loss with respect to its inputs, heads or maps; `total` receives its value.
template <class Loss>
std::vector<Tensor> gradients_of(const std::vector<Tensor>& inputs, Tensor& total, Loss loss) {
  std::vector<Var> leaves;
  for (const Tensor& input : inputs) leaves.push_back(Var::receiver(input));
  Tape tape;
  const Var value = loss(leaves);
  total = value.value();
  tape.backward(value);
  std::vector<Tensor> grads;
  for (const Var& leaf : leaves) grads.push_back(leaf.grad());
  return grads;
}

std::vector<Tensor> values_of(const std::vector<Var>& vars) {
  std::vector<Tensor> values;
  for (const Var& var : vars) values.push_back(var.value());
  return values;
}

std::vector<Tensor> squares_of(const std::vector<Tensor>& grads) {
  std::vector<Tensor> squares;
  for (const Tensor& grad : grads) squares.push_back(square_sum_parts(grad));
  return squares;
}

double sum_of(const std::vector<Tensor>& squares) {
  double sum = 0;
  for (const Tensor& parts : squares) {
    const Tensor on_host = parts.to(Device::cpu());
    for (const double part : on_host.span<double>()) sum += part;
  }
  return sum;
}

}  // namespace

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
  if (result.feature_term.defined()) {
    numbers.feature = result.feature_term.to(Device::cpu()).at(0);
  }
  numbers.detection_square = sum_of(result.detection_squares);
  numbers.distill_square = sum_of(result.distill_squares);
  return numbers;
}

StepResult losses_and_gradients(const std::vector<Tensor>& heads, const Tensor& targets,
                                const std::vector<Tensor>& teacher_heads,
                                const StepLosses& losses) {
  StepResult result;
  std::vector<Tensor> detection, distill;
  if (losses.detection) {
    detection = gradients_of(heads, result.detection_total, [&](const std::vector<Var>& leaves) {
      return detection_loss(leaves, targets, losses.student_anchors, *losses.detection,
                            result.detection_terms);
    });
  }
  if (losses.distill) {
    distill = gradients_of(heads, result.distill_total, [&](const std::vector<Var>& leaves) {
      return distill_loss(leaves, teacher_heads, losses.student_anchors, losses.teacher_anchors,
                          *losses.distill, result.distill_terms);
    });
  }
  if (detection.empty() || distill.empty()) {
    result.grad_heads = std::move(detection.empty() ? distill : detection);
    return result;
  }
  result.detection_squares = squares_of(detection);
  result.distill_squares = squares_of(distill);
  for (size_t k = 0; k < heads.size(); ++k) add_into(detection[k], distill[k]);
  result.grad_heads = std::move(detection);
  return result;
}

StepResult forward_backward(Model& student, const Tensor& images, const Tensor& targets,
                            const std::vector<Tensor>& teacher_heads, const StepLosses& losses,
                            const ForwardBackwardOptions& options) {
  Tape tape(student.tape_keeps());
  std::vector<Var> features;
  std::vector<Var> outputs = student.forward(images, ForwardMode::kTrain, {},
                                             losses.feature_gain > 0 ? &features : nullptr);
  const std::vector<Tensor> logits = values_of(outputs);
  if (options.before_losses) options.before_losses();
  StepResult result = losses_and_gradients(logits, targets, teacher_heads, losses);
  if (options.heads != nullptr) *options.heads = logits;
  std::vector<Tensor> grads = result.grad_heads;
  if (!features.empty()) {
    if (grads.empty()) outputs.clear();  // if the step has no other loss
    Tensor total;
    for (Tensor& grad :
         gradients_of(values_of(features), total, [&](const std::vector<Var>& leaves) {
           return feature_loss(leaves, options.teacher_features, losses.feature_gain,
                               result.feature_term);
         })) {
      grads.push_back(std::move(grad));
    }
    std::move(features.begin(), features.end(), std::back_inserter(outputs));
    features.clear();
  }
  tape.backward(std::move(outputs), std::move(grads));
  return result;
}

}  // namespace ydistill
