// SPDX-License-Identifier: MIT
// One step's losses and gradients, for training and for trace.
#pragma once

#include <functional>
#include <optional>
#include <vector>

#include <ydistill/distill/distill_loss.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/model.h>

namespace ydistill {

/// What the student is compared with. Each part may be absent.
struct StepLosses {
  std::optional<DetectionLossOptions> detection;
  std::optional<DistillOptions> distill;
  double feature_gain = 0;  ///< of the feature term; 0: none
  Anchors student_anchors, teacher_anchors;
};

/// All on the device of the heads; undefined if the loss is absent.
struct StepResult {
  Tensor detection_terms;  ///< float64 [3]: box, obj, cls with gains, not times the batch size
  Tensor distill_terms;    ///< float64 [3]: box, obj, cls with gains, times the batch size
  Tensor feature_term;     ///< float64 [1]: with its gain, times the batch size
  Tensor detection_total, distill_total;  ///< scalars, times the batch size; losses on logits only
  std::vector<Tensor> grad_heads;         ///< of the sum of both totals, shapes of the heads
  /// square_sum_parts of each loss's gradient, one tensor per head; empty unless both losses exist.
  std::vector<Tensor> detection_squares, distill_squares;
};

/// The numbers of a StepResult, 0 for what is absent.
struct StepNumbers {
  DetectionLossItems detection;
  DistillTerms distill;
  double feature = 0;  ///< not in distill_total
  double detection_total = 0, distill_total = 0;
  /// Square sums of each loss's gradient at the heads; 0 unless both losses exist.
  double detection_square = 0, distill_square = 0;
};

/// Reads the numbers; on a GPU this waits for the step.
StepNumbers numbers_of(const StepResult& result);

/// The losses of given logits and their gradient. heads, teacher_heads: [N,H,W,A,5+C] each;
/// teacher_heads may be empty without distillation; targets [n,6] as detection_loss.
StepResult losses_and_gradients(const std::vector<Tensor>& heads, const Tensor& targets,
                                const std::vector<Tensor>& teacher_heads, const StepLosses& losses);

struct ForwardBackwardOptions {
  /// Called between the student's forward pass and the losses; may wait there for the teacher.
  std::function<void()> before_losses;
  /// Receives the logits if not null.
  std::vector<Tensor>* heads = nullptr;
  /// The teacher's maps before its head, for the feature term: same shapes as the student's
  /// features.
  std::vector<Tensor> teacher_features = {};
};

/// Runs the student in training mode on uint8 pictures [N,H,W,3], then the losses, then the
/// backward pass: gradients are ADDED into the model's buffers, running statistics updated.
StepResult forward_backward(Model& student, const Tensor& images, const Tensor& targets,
                            const std::vector<Tensor>& teacher_heads, const StepLosses& losses,
                            const ForwardBackwardOptions& options = {});

}  // namespace ydistill
