// SPDX-License-Identifier: MIT
// Non-maximum suppression (YOLOv5 utils/general.py, non_max_suppression, v7.0): keep the best box
// of each heap of overlapping boxes of a class.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>
#include <ydistill/yolo/detection.h>

namespace ydistill {

/// Which classes a box can be found as.
enum class NmsLabels {
  kBest,  ///< its best class only: for detecting
  kAll,   ///< every class whose score is above the threshold: for validating
};

/// Which boxes suppress each other.
enum class NmsScope {
  kPerClass,    ///< those of the same class
  kAllClasses,  ///< all ("agnostic")
};

struct NmsOptions {
  double conf = 0.25;       ///< objectness, and objectness times class, must be above; 0..1
  double iou = 0.45;        ///< a box overlapping a better one by more than this goes; 0..1
  int64_t max_det = 300;    ///< boxes kept a picture
  int64_t max_nms = 30000;  ///< candidates considered a picture, best first
  NmsLabels labels = NmsLabels::kBest;
  NmsScope scope = NmsScope::kPerClass;
  /// Boxes found as another class are left out, before any suppresses another; empty: all count.
  std::vector<int64_t> classes = {};
  /// What a box of each of the network's classes is found as: several may count as one. Empty: as
  /// what it is.
  std::vector<int64_t> found_as = {};

  /// YOLOv5's settings for validation: conf 0.001, IoU 0.6, all labels.
  static NmsOptions validation() { return {.conf = 0.001, .iou = 0.6, .labels = NmsLabels::kAll}; }
};

/// throws ValueError for options out of range. classes: how many the network knows.
void check_nms_options(const NmsOptions& options, int64_t classes);

/// decoded  float32 [N, boxes, 5+C] from decode_heads.
/// returns  per picture the boxes kept, corners in input pixels (not clipped), best score first;
///          equal scores in the order of the boxes, then of the classes. As in the original,
///          classes are kept apart by moving class c by 7680 c pixels, in float32.
/// throws   ShapeError, DTypeError; ValueError for options out of range; NotFiniteError, naming
///          picture and box, for a score or a candidate's box that is NaN or infinite.
std::vector<std::vector<Detection>> nms(const Tensor& decoded, const NmsOptions& options = {});

/// The same straight from the heads' logits (float32): only boxes whose objectness passes are
/// decoded, which saves most of the time. Agrees with nms(decode_heads(heads)) up to rounding.
/// Of heads on a GPU only the boxes that pass are copied to the CPU, where the rest is done: the
/// result is the same. throws DeviceError where the heads live apart.
std::vector<std::vector<Detection>> nms_heads(const std::vector<Tensor>& heads,
                                              const Anchors& anchors,
                                              const NmsOptions& options = {});

/// How the network saw the pictures whose boxes are wanted.
struct AugmentedView {
  double scale = 1;           ///< its pixels per pixel of the boxes that are wanted
  double mirrored_width = 0;  ///< where above 0: x becomes this less x, once it is scaled back
};

/// The two halves of nms_heads, for pictures that were looked at more than once. This one gives
/// what would be suppressed, the best max_nms of each picture in the order of the boxes.
/// throws as nms_heads.
std::vector<std::vector<Detection>> nms_candidates(const std::vector<Tensor>& heads,
                                                   const Anchors& anchors,
                                                   const NmsOptions& options,
                                                   const AugmentedView& view = {});
/// And this one what of it stays. throws ValueError for options out of range.
std::vector<std::vector<Detection>> nms_of_candidates(
    const std::vector<std::vector<Detection>>& candidates, const NmsOptions& options);

}  // namespace ydistill
