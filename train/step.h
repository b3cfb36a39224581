// SPDX-License-Identifier: MIT
// One step's losses and gradients: what training repeats and trace shows.
#pragma once

#include <optional>
#include <vector>

#include <ydistill/distill/distill_loss.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/model.h>

namespace ydistill {

/// What the student is compared with. Either part may be absent.
struct StepLosses {
  std::optional<DetectionLossOptions> detection;
  std::optional<DistillOptions> distill;
  Anchors student_anchors, teacher_anchors;
};

struct StepResult {
  DetectionLossItems detection;                   ///< with gains, not times the batch
  DistillTerms distill;                           ///< with gains, times the batch
  double detection_total = 0, distill_total = 0;  ///< times the batch
  std::vector<Tensor> grad_heads;  ///< of the sum of both totals, shapes of the heads
};

/// The losses of given logits and their gradient. heads, teacher_heads: [N,H,W,A,5+C] each;
/// teacher_heads may be empty without distillation; targets [n,6] as detection_loss.
StepResult losses_and_gradients(const std::vector<Tensor>& heads, const Tensor& targets,
                                const std::vector<Tensor>& teacher_heads, const StepLosses& losses);

/// Runs the student in training mode on uint8 pictures [N,H,W,3], then the losses, then the
/// backward pass: gradients are ADDED into the model's buffers, running statistics updated. `heads`
/// receives the logits unless null.
StepResult forward_backward(Model& student, const Tensor& images, const Tensor& targets,
                            const std::vector<Tensor>& teacher_heads, const StepLosses& losses,
                            std::vector<Tensor>* heads = nullptr);

}  // namespace ydistill
