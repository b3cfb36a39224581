// SPDX-License-Identifier: MIT
// The confusion matrix of a detector, by the rules of YOLOv5 v7.0.
//
// Detections of score > 0.25 and labels of a picture are paired regardless of class, highest IoU
// first, each at most once, if IoU > 0.45. A pair counts at [predicted, true]; an unpaired label at
// [background, true] (missed); an unpaired detection at [predicted, background] (false positive).
// v7.0 omits the false positives of pictures without a pair; here all count.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/yolo/detection.h>

namespace ydistill {

struct PairingOptions {
  float conf = 0.25f;  ///< scores of detections must be above this
  float iou = 0.45f;   ///< IoUs of pairs must be above this
};

/// For each detection the index of the label it is paired with, or -1. Of equal IoUs the earlier
/// detection, then the earlier label, goes first. Classes are ignored.
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
  /// Rows and columns: num_classes() + 1, the last is the background; 0 if default-constructed.
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
