// SPDX-License-Identifier: MIT
// Precision, recall and mean average precision, by the conventions of YOLOv5.
//
// Detections are matched with labels per picture, at ten IoU thresholds 0.50, 0.55 .. 0.95; then
// the detections of a class in all pictures, highest score first, give a precision-recall curve.
//
//                 v5.0                                   v7.0
//   matching      each detection, highest score first,  the same, separately for each
//                 takes its best label if IoU > 0.5     threshold
//                 and the label is free; correct at
//                 each threshold below its IoU
//   threshold     IoU > t                               IoU >= t
//   curve ends at last recall + 0.01, precision 0       recall 1, precision 0
//   P and R at    the score of the best mean F1         the same, F1 smoothed over 101 of 1000
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include <ydistill/yolo/detection.h>

namespace ydistill {

enum class EvalCompat { kV7, kV5 };

/// "v7" or "v5". throws ValueError for another name.
EvalCompat eval_compat_of(const std::string& name);

inline constexpr int kNumIous = 10;
inline constexpr int kCurvePoints = 1000;

/// The IoU thresholds, 0.50 to 0.95.
std::array<float, kNumIous> iou_thresholds();

/// Whether a detection is correct at each threshold.
using Correct = std::array<bool, kNumIous>;

/// Matches the detections of one picture, highest score first, with its labels.
/// A detection is compared only with labels of its class; its label is the one with the largest IoU
/// (of equal ones the first).
std::vector<Correct> match_detections(const std::vector<Detection>& detections,
                                      const std::vector<TruthBox>& truths, EvalCompat compat);

struct ApResult {
  double ap = 0;
  std::vector<double> recall, precision;  ///< the curve with end points; precision never rises
};

/// Average precision: the area under the envelope of the curve, by the trapezoidal rule on 101
/// points of recall. recall, precision: after each detection, highest score first. throws
/// ValueError if they are empty or of different lengths.
ApResult average_precision(const std::vector<double>& recall, const std::vector<double>& precision,
                           EvalCompat compat);

struct ClassMetrics {
  int64_t class_id = 0;
  std::string name;
  int64_t images = 0;     ///< pictures with a label of this class
  int64_t instances = 0;  ///< labels of this class
  int64_t detections = 0;
  double precision = 0, recall = 0, f1 = 0;  ///< at MetricsResult::best_score
  std::array<double, kNumIous> ap{};         ///< one per threshold
  double map50 = 0, map = 0;                 ///< at 0.5; mean over the thresholds
  /// At IoU 0.5, over 1000 scores 0..1: kCurvePoints entries, or none if nothing was detected.
  std::vector<double> precision_by_score, recall_by_score;
  std::vector<double> precision_by_recall;  ///< likewise over 1000 recalls 0..1
};

struct MetricsResult {
  int64_t images = 0, instances = 0;
  double precision = 0, recall = 0, map50 = 0, map = 0;  ///< means over per_class
  double best_score = 0;                ///< score with the largest mean F1 over the classes
  std::vector<ClassMetrics> per_class;  ///< classes that have labels, by class id
};

/// Accumulates the metrics of a validation set.
class DetectionMetrics {
 public:
  explicit DetectionMetrics(EvalCompat compat = EvalCompat::kV7) : compat_(compat) {}

  /// Adds one picture: detections in any order (they are sorted by score, stably) and labels, both
  /// with corners in picture pixels. throws NotFiniteError for a score or corner that is NaN or
  /// infinite; ValueError for a negative class id.
  void add(std::vector<Detection> detections, const std::vector<TruthBox>& truths);

  int64_t num_images() const { return images_; }

  /// Everything added so far as bytes, for append() in another process on the same kind of machine.
  std::string state() const;
  /// As if the pictures of that state() were added now. throws ValueError for other bytes.
  void append(const std::string& state);

  /// names: of the classes, or empty; a class without a name gets its id as name. Detections with
  /// equal scores keep the order in which they were added. All zero if there are no labels.
  MetricsResult compute(const std::vector<std::string>& names = {}) const;

 private:
  struct Scored {
    float score;
    int64_t class_id;
    Correct correct;
  };
  struct Truths {
    int64_t class_id, images, instances;
  };
  Truths& truths_of(int64_t class_id);

  EvalCompat compat_;
  int64_t images_ = 0;
  std::vector<Scored> detections_;
  std::vector<Truths> truths_;  // by class id
};

}  // namespace ydistill
