// SPDX-License-Identifier: MIT
// Which class is taken for which: the confusion matrix of a detector, by the rules of YOLOv5 v7.0.
//
// Detections of score > 0.25 and labels of a picture are paired whatever their classes, best IoU
// first, each at most once, if IoU > 0.45. A pair counts at [predicted, true]; a label without
// partner at [background, true] (missed); a detection without at [predicted, background] (false
// alarm). v7.0 forgets the false alarms of pictures where nothing was paired; here all count.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/yolo/detection.h>

namespace ydistill {

struct PairingOptions {
  float conf = 0.25f;  ///< detections must be above
  float iou = 0.45f;   ///< pairs must be above
};

/// For each detection the label it is paired with, or -1. Of equal IoUs the earlier detection, then
/// the earlier label, goes first. Classes are not looked at.
std::vector<int64_t> pair_detections(std::span<const Detection> detections,
                                     std::span<const TruthBox> truths,
                                     const PairingOptions& options = {});

class ConfusionMatrix {
 public:
  ConfusionMatrix() = default;
  /// throws ValueError unless num_classes >= 1.
  explicit ConfusionMatrix(int64_t num_classes, const PairingOptions& options = {});

  /// One picture; boxes in the same pixels. throws ValueError for a class outside the matrix.
  void add(std::span<const Detection> detections, std::span<const TruthBox> truths);
  /// The pictures of another matrix, given its counts(). throws ValueError for another size.
  void add_counts(std::span<const int64_t> counts);

  int64_t num_classes() const { return num_classes_; }
  /// Rows and columns: num_classes() + 1, the last is the background; 0 where nothing was set up.
  int64_t size() const { return num_classes_ == 0 ? 0 : num_classes_ + 1; }
  int64_t at(int64_t predicted, int64_t truth) const;
  /// [predicted, true], row-major, size() squared.
  const std::vector<int64_t>& counts() const { return counts_; }

 private:
  int64_t num_classes_ = 0;
  PairingOptions options_;
  std::vector<int64_t> counts_;
};

}  // namespace ydistill
