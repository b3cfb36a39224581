// SPDX-License-Identifier: MIT
// The YOLOv5 detection loss: CIoU of the matched boxes, objectness of all boxes, classes of the
// matched boxes (YOLOv5 utils/loss.py, ComputeLoss). Value and gradient come from one pass.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/autograd/var.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill {

/// Weights of the three terms. The defaults are the recipe's, before scaling.
struct LossGains {
  double box = 0.05, obj = 1.0, cls = 0.5;
};

/// The gains as the loss uses them: all times 3 / heads, cls also times classes / 80, obj also
/// times (image_size / 640)^2. throws ValueError for a count or size below 1.
LossGains scaled_gains(const LossGains& base, int64_t num_classes, int64_t num_heads,
                       int64_t image_size);

struct DetectionLossOptions {
  LossGains gains;             ///< after scaled_gains
  double anchor_t = 4;         ///< see assign_targets
  double cls_pw = 1;           ///< weight of the positive part of the class BCE
  double obj_pw = 1;           ///< the same for the objectness BCE
  double label_smoothing = 0;  ///< e: class targets are 1 - e/2 and e/2
  double fl_gamma = 0;         ///< > 0: focal loss (alpha 0.25) on class and objectness BCE
  /// Weight of each head's objectness; empty: 4, 1, 0.4 for three heads, else 4, 1, 0.25, 0.06,
  /// 0.02.
  std::vector<double> balance;
  /// uint8 [N], one flag per picture, on the heads' device; undefined: all are labelled. Only
  /// labelled pictures contribute: boxes of the others are left out of the means, get no gradient
  /// and do not count in the factor "number of pictures".
  Tensor labelled;
};

/// The terms with their gains, not multiplied by the number of pictures, as YOLOv5 logs them.
struct DetectionLossItems {
  double box = 0, obj = 0, cls = 0;
};

/// heads    raw logits, float32, on the CPU also float64, [N,H,W,A,5+C]: tx ty tw th objectness
///          classes.
/// targets  float32 [n,6]: picture, class, cx, cy, w, h, 0..1; n may be 0 (then only objectness).
///          On a GPU they are in its memory and are not checked (call check_targets before); rows
///          whose picture is not in the batch or not labelled are ignored, see padded_targets.
/// anchors  one list per head; on a GPU at most 32 anchors per cell.
/// terms    receives box, obj and cls as in DetectionLossItems: float64 [3] on the heads' device.
/// returns  the scalar (box + obj + cls) times the number of (labelled) pictures, with dtype and
///          device of the heads.
///   box  sum over heads of mean over matches of 1 - CIoU, in cells
///   obj  sum over heads of balance times mean over boxes of BCE(logit, max(CIoU, 0) of the match
///        or 0); the target is a constant. If several matches share a box, the last one counts
///   cls  sum over heads of mean over matches and classes of BCE; 0 if there is only one class
/// Sums are accumulated in double in a fixed order: the result does not depend on the threads. On a
/// GPU nothing is read back, so the call can be captured into a graph; its launches depend only on
/// shapes.
/// throws   ShapeError, DTypeError, DeviceError, ValueError (options; on the CPU also targets,
/// naming
///          the row).
Var detection_loss(const std::vector<Var>& heads, const Tensor& targets, const Anchors& anchors,
                   const DetectionLossOptions& options, Tensor& terms);

/// The same with the terms as numbers; items may be null. Reading them synchronises with a GPU.
Var detection_loss(const std::vector<Var>& heads, const Tensor& targets, const Anchors& anchors,
                   const DetectionLossOptions& options, DetectionLossItems* items = nullptr);

}  // namespace ydistill
