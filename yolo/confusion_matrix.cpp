// SPDX-License-Identifier: MIT
#include <ydistill/yolo/confusion_matrix.h>

#include <algorithm>

#include <ydistill/tensor/error.h>
#include <ydistill/yolo/box_iou_math.h>

namespace ydistill {

std::vector<int64_t> pair_detections(std::span<const Detection> detections,
                                     std::span<const TruthBox> truths,
                                     const PairingOptions& options) {
  struct Candidate {
    float iou;
    size_t detection, truth;
  };
  std::vector<Candidate> candidates;
  for (size_t i = 0; i < detections.size(); ++i) {
    const Detection& d = detections[i];
    if (!(d.score > options.conf)) continue;
    for (size_t j = 0; j < truths.size(); ++j) {
      const TruthBox& t = truths[j];
      const float iou = box_iou(d.x1, d.y1, d.x2, d.y2, t.x1, t.y1, t.x2, t.y2, 1e-7f);
      if (iou > options.iou) candidates.push_back({iou, i, j});
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.iou > b.iou; });
  // As the original: a detection keeps its best label even if another detection then takes that
  // label from it.
  std::vector<int64_t> best(detections.size(), -1), result(detections.size(), -1);
  std::vector<bool> taken(truths.size(), false);
  for (const Candidate& c : candidates) {
    if (best[c.detection] >= 0) continue;
    best[c.detection] = int64_t(c.truth);
    if (taken[c.truth]) continue;
    taken[c.truth] = true;
    result[c.detection] = int64_t(c.truth);
  }
  return result;
}

ConfusionMatrix::ConfusionMatrix(int64_t num_classes, const PairingOptions& options)
    : num_classes_(num_classes), options_(options) {
  if (num_classes < 1) {
    throw ValueError("confusion matrix: needs at least one class, got {}", num_classes);
  }
  counts_.assign(size_t(size() * size()), 0);
}

void ConfusionMatrix::add(std::span<const Detection> detections, std::span<const TruthBox> truths) {
  const auto check = [this](int64_t id, const char* what) {
    if (id < 0 || id >= num_classes_) {
      throw ValueError("confusion matrix: a {} has class {}, there are {}", what, id, num_classes_);
    }
  };
  for (const Detection& d : detections) check(d.class_id, "detection");
  for (const TruthBox& t : truths) check(t.class_id, "label");
  const auto count = [this](int64_t predicted, int64_t truth) {
    ++counts_[size_t(predicted * size() + truth)];
  };
  const std::vector<int64_t> pairs = pair_detections(detections, truths, options_);
  std::vector<bool> found(truths.size(), false);
  for (size_t i = 0; i < detections.size(); ++i) {
    const Detection& d = detections[i];
    if (!(d.score > options_.conf)) continue;
    if (pairs[i] < 0) {
      count(d.class_id, num_classes_);
    } else {
      found[size_t(pairs[i])] = true;
      count(d.class_id, truths[size_t(pairs[i])].class_id);
    }
  }
  for (size_t j = 0; j < truths.size(); ++j) {
    if (!found[j]) count(num_classes_, truths[j].class_id);
  }
}

void ConfusionMatrix::add_counts(std::span<const int64_t> counts) {
  if (counts.size() != counts_.size()) {
    throw ValueError("confusion matrix: {} counts added to {}", counts.size(), counts_.size());
  }
  for (size_t i = 0; i < counts.size(); ++i) counts_[i] += counts[i];
}

int64_t ConfusionMatrix::at(int64_t predicted, int64_t truth) const {
  if (predicted < 0 || predicted >= size() || truth < 0 || truth >= size()) {
    throw ValueError("confusion matrix: [{}, {}] is outside {} x {}", predicted, truth, size(),
                     size());
  }
  return counts_[size_t(predicted * size() + truth)];
}

}  // namespace ydistill
