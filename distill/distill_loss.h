// SPDX-License-Identifier: MIT
// The distillation loss pulls the student's raw logits towards the teacher's, weighted by the
// teacher's objectness (after Mehta and Ozturk, "Object detection at 200 frames per second", arXiv
// 1805.06361). Value and gradient are computed in one pass.
#pragma once

#include <string>
#include <vector>

#include <ydistill/autograd/var.h>
#include <ydistill/yolo/anchors.h>
#include <ydistill/yolo/detection_loss.h>

namespace ydistill {

/// How the class logits s of the student and t of the teacher are compared.
enum class DistillKind {
  kL2,   ///< (s - t)^2
  kKl,   ///< T^2 KL(softmax(t / T), softmax(s / T)), softmax over the classes
  kBce,  ///< binary cross entropy of s against sigmoid(t)
};

/// How the objectness logits are compared.
enum class DistillObjectness {
  kL2,   ///< (s - t)^2, weighted like the other terms: background boxes hardly count
  kBce,  ///< binary cross entropy of s against sigmoid(t), all boxes weighted equally
};

/// What the sums of the box and class terms over all boxes are divided by. A gain that suits one
/// choice is wrong by orders of magnitude for the other. The default in a training's config is
/// kObjects.
enum class DistillMean {
  kBoxes,    ///< the boxes, per head: the loss then depends on how full the pictures are
  kObjects,  ///< the sum of their weights over all heads, at least the number of pictures: the
             ///< teacher's number of objects, as the detection loss divides by its matches
};

/// "l2", "kl" or "bce". throws ValueError for another name.
DistillKind distill_kind_of(const std::string& name);

struct DistillOptions {
  DistillKind kind = DistillKind::kL2;
  double temperature = 20;  ///< T, for kKl; > 0
  LossGains gains;          ///< as multiplied in: see scaled_distill_gains()
  DistillObjectness objectness = DistillObjectness::kL2;
  bool fm_nms = false;  ///< the teacher's objectness is replaced by the output of feature_map_nms()
  DistillMean mean = DistillMean::kBoxes;
  /// Classes that the teacher knows at least in part, ascending; empty: all. Only these count in
  /// the class term, and kBce of objectness is then weighted like the other terms: a teacher that
  /// does not know all of the student's objects cannot tell where there is none.
  std::vector<int64_t> known_classes = {};
};

/// The gains as they are multiplied in: `gain` times the base gains; obj and cls are scaled as in
/// the detection loss, box is not. throws ValueError as scaled_gains.
LossGains scaled_distill_gains(double gain, const LossGains& base, int64_t num_classes,
                               int64_t num_heads, int64_t image_size);

/// The three terms including their gains, times the number of pictures.
struct DistillTerms {
  double box = 0, obj = 0, cls = 0;
};

/// True if both have as many heads and anchors and all sides agree within one part in 1000 (a
/// checkpoint may have been rounded to float16), so that equal logits mean equal boxes.
bool same_anchors(const Anchors& a, const Anchors& b);

/// student_heads, teacher_heads
///           raw logits of the same shapes on the same device, float32 or on the CPU also float64
///           [N,H,W,A,5+C]. The teacher's are constants: no gradient ever reaches them. On a GPU at
///           most 32 anchors per cell, and 1024 classes where only some are known.
/// terms     receives box, obj and cls as DistillTerms has them: float64 [3] on the heads' device.
/// returns   the scalar box + obj + cls, dtype and device of the heads; each term is its gain times
///           N times the sum over heads of a mean over all boxes, labelled or not, weighted by
///           w = sigmoid(teacher's objectness logit):
///   box  mean over boxes and 4 channels of w (s - t)^2 of the raw logits. If the anchors differ,
///        equal logits mean different boxes. Then sigmoids are compared, and the teacher's of
///        width and height are multiplied by sqrt(teacher's anchor / student's anchor): there the
///        student decodes to the teacher's box. The means over x, y and over w, h (2 channels
///        each) are added
///   obj  mean over boxes of w (s - t)^2, or of the cross entropy, with w only where some classes
///        are unknown
///   cls  mean over boxes and classes of w times the kind's measure; 0 where there is one class.
///        An unknown class adds nothing but counts in the mean, so that the contribution of a
///        known class does not depend on the others
/// With DistillMean::kObjects box and cls are summed over the boxes of all heads and divided by the
/// sum of w over these (at least N), instead of averaged over the boxes of each head.
/// With options.fm_nms the output of feature_map_nms() replaces the teacher's objectness logit, in
/// w and in obj.
/// Loss and gradient are zero where student and teacher agree (for the cross entropies only the
/// gradient; neither for the objectness of boxes that FM-NMS suppresses).
/// Short pieces are summed in the dtype of the heads, their sums in double, in a fixed order: the
/// result does not depend on the threads. On a GPU nothing is read back, so the call may be
/// captured into a graph.
/// throws    ShapeError, DTypeError, DeviceError where the heads differ, naming both; ValueError
///           for options, strides that differ or anchors out of range.
Var distill_loss(const std::vector<Var>& student_heads, const std::vector<Tensor>& teacher_heads,
                 const Anchors& student_anchors, const Anchors& teacher_anchors,
                 const DistillOptions& options, Tensor& terms);

/// The same with the terms as numbers; terms may be null. Reading them waits for a GPU.
Var distill_loss(const std::vector<Var>& student_heads, const std::vector<Tensor>& teacher_heads,
                 const Anchors& student_anchors, const Anchors& teacher_anchors,
                 const DistillOptions& options, DistillTerms* terms = nullptr);

}  // namespace ydistill
