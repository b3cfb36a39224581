// SPDX-License-Identifier: MIT
// Non-maximum suppression (YOLOv5 utils/general.py, non_max_suppression, v7.0): of overlapping
// boxes of a class, keeps the highest-scoring.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>
#include <ydistill/yolo/detection.h>

namespace ydistill {

/// Which classes a box can be reported as.
enum class NmsLabels {
  kBest,  ///< only its highest-scoring class: for detection
  kAll,   ///< every class whose score is above the threshold: for validation
};

/// Which boxes suppress each other.
enum class NmsScope {
  kPerClass,    ///< those of the same class
  kAllClasses,  ///< all ("agnostic")
};

struct NmsOptions {
  double conf = 0.25;       ///< objectness, and objectness times class, must be above this; 0..1
  double iou = 0.45;        ///< a box with an IoU above this with a better one is removed; 0..1
  int64_t max_det = 300;    ///< maximum boxes kept per picture
  int64_t max_nms = 30000;  ///< maximum candidates per picture, highest score first
  NmsLabels labels = NmsLabels::kBest;
  NmsScope scope = NmsScope::kPerClass;
  /// Boxes of other classes (after found_as) are removed before suppression; empty: all classes.
  std::vector<int64_t> classes = {};
  /// For each class of the network, the class id that is reported: several may become one. Empty:
  /// the network's own ids.
  std::vector<int64_t> found_as = {};

  /// YOLOv5's settings for validation: conf 0.001, IoU 0.6, all labels.
  static NmsOptions validation() { return {.conf = 0.001, .iou = 0.6, .labels = NmsLabels::kAll}; }
};

/// throws ValueError for options out of range. classes: number of the network's classes.
void check_nms_options(const NmsOptions& options, int64_t classes);

/// decoded  float32 [N, boxes, 5+C] from decode_heads.
/// returns  per picture the boxes kept, corners in input pixels (not clipped), highest score first;
///          equal scores in the order of the boxes, then of the classes. As in the original,
///          classes are separated by shifting class c by 7680 c pixels, in float32.
/// throws   ShapeError, DTypeError; ValueError for options out of range; NotFiniteError, naming
///          picture and box, for a score or a candidate's box that is NaN or infinite.
std::vector<std::vector<Detection>> nms(const Tensor& decoded, const NmsOptions& options = {});

/// The same directly from the heads' logits (float32): only boxes whose objectness passes are
/// decoded, which saves most of the time. Agrees with nms(decode_heads(heads)) up to rounding. From
/// heads on a GPU only the boxes that pass are copied to the CPU, which does the rest with the same
/// result.
/// throws as nms; DeviceError if the heads are on different devices.
std::vector<std::vector<Detection>> nms_heads(const std::vector<Tensor>& heads,
                                              const Anchors& anchors,
                                              const NmsOptions& options = {});

/// The view of the pictures that the network was given.
struct AugmentedView {
  double scale = 1;           ///< pixels of the view per pixel of the picture
  double mirrored_width = 0;  ///< if above 0: x becomes this minus x, after scaling back
};

/// The first half of nms_heads, for pictures with several views: the candidates before suppression,
/// the best max_nms of each picture in the order of the boxes.
/// throws as nms_heads.
std::vector<std::vector<Detection>> nms_candidates(const std::vector<Tensor>& heads,
                                                   const Anchors& anchors,
                                                   const NmsOptions& options,
                                                   const AugmentedView& view = {});
/// The second half: the candidates that are kept. throws ValueError for options out of range.
std::vector<std::vector<Detection>> nms_of_candidates(
    const std::vector<std::vector<Detection>>& candidates, const NmsOptions& options);

}  // namespace ydistill
