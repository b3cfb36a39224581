// SPDX-License-Identifier: MIT
// The distillation loss: the student's raw logits are drawn towards the teacher's, weighted by how
// sure the teacher is that there is an object (after Mehta and Ozturk, "Object detection at 200
// frames per second", arXiv 1805.06361). Value and gradient come from one pass.
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
  kKl,   ///< T^2 KL(softmax(t / T), softmax(s / T)), class by class
  kBce,  ///< binary cross entropy of s against sigmoid(t)
};

/// How the objectness logits are compared.
enum class DistillObjectness {
  kL2,   ///< (s - t)^2, weighted like the other terms: says little about the background
  kBce,  ///< binary cross entropy of s against sigmoid(t), every box alike
};

/// What the sums of the box and the class term over all boxes are divided by. A gain that suits one
/// is wrong by orders of magnitude for the other; a training's config has kObjects by default.
enum class DistillMean {
  kBoxes,    ///< the boxes, head by head: how loud the teacher is depends on how full pictures are
  kObjects,  ///< the sum of their weights over all heads, 1 a picture at least: the teacher's count
             ///< of boxes with an object, as the detection loss divides by its matches
};

/// "l2", "kl" or "bce". throws ValueError for another name.
DistillKind distill_kind_of(const std::string& name);

struct DistillOptions {
  DistillKind kind = DistillKind::kL2;
  double temperature = 20;  ///< T, for kKl; > 0
  LossGains gains;          ///< as multiplied in
  DistillObjectness objectness = DistillObjectness::kL2;
  bool fm_nms = false;  ///< the teacher's objectness is what feature_map_nms() leaves of it
  DistillMean mean = DistillMean::kBoxes;
  /// Classes of which the teacher knows something, ascending; empty: all. The class term counts
  /// these alone, and kBce of objectness is weighted as the other terms are: a teacher that does
  /// not know all of the student's objects cannot say where there is none.
  std::vector<int64_t> known_classes = {};
};

/// The gains as they are multiplied in: `gain` times the base gains, obj and cls scaled as those of
/// the detection loss, box not. throws ValueError as scaled_gains.
LossGains scaled_distill_gains(double gain, const LossGains& base, int64_t num_classes,
                               int64_t num_heads, int64_t image_size);

/// The terms with their gains, times the number of pictures.
struct DistillTerms {
  double box = 0, obj = 0, cls = 0;
};

/// True where every anchor's sides agree within one part in 1000 (a checkpoint may have been
/// rounded to float16), so that equal logits mean equal boxes.
bool same_anchors(const Anchors& a, const Anchors& b);

/// student_heads, teacher_heads
///           raw logits of the same shapes on the same device, float32 or on the CPU also float64
///           [N,H,W,A,5+C]. The teacher's are constants: no gradient ever reaches them. On a GPU at
///           most 32 anchors a cell, and 1024 classes where only some are known.
/// terms     receives box, obj and cls as DistillTerms has them: float64 [3] on the heads' device.
/// returns   the scalar box + obj + cls, dtype and device of the heads; each term is its gain times
///           N times the sum over heads of a mean over all boxes, labelled or not, weighted by
///           w = sigmoid(teacher's objectness logit):
///   box  mean over boxes and 4 channels of w (s - t)^2 of the raw logits. With other anchors,
///        equal logits are other boxes: then sigmoids are compared, the teacher's of width and
///        height times sqrt(teacher's anchor / student's anchor), which is where the student
///        decodes to the teacher's box; the means of x, y and of w, h (over 2 channels each) are
///        added
///   obj  mean over boxes of w (s - t)^2, or of the cross entropy without w
///   cls  mean over boxes and classes of w times the kind's measure; 0 where there is one class.
///        An unknown class adds nothing and counts in the mean all the same, so that what a known
///        one says does not depend on the others
/// With DistillMean::kObjects box and cls are, instead of means over the boxes of each head, sums
/// over those of all heads over the sum of their w.
/// With options.fm_nms the teacher's objectness logit is, in w and in obj, what feature_map_nms()
/// leaves of it.
/// Zero, and so is the gradient, where student and teacher agree (for the cross entropies the
/// gradient only; not of the objectness of boxes that FM-NMS leaves out).
/// Sums are kept in a fixed order, in double over short pieces: the result does not depend on the
/// threads. On a GPU nothing is read back, so the call may be captured into a graph.
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
