// SPDX-License-Identifier: MIT
// Validation: runs a network over a dataset, as YOLOv5's val does.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/loader.h>
#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>
#include <ydistill/yolo/confusion_matrix.h>
#include <ydistill/yolo/detection_loss.h>
#include <ydistill/yolo/metrics.h>
#include <ydistill/yolo/model.h>

namespace ydistill {

/// A batch of the validation and its detections.
struct EvaluatedBatch {
  int64_t number = 0;  ///< from 0
  const Batch& batch;
  /// One per scale, on the model's device; empty with test-time augmentation.
  const std::vector<Tensor>& logits;
  const std::vector<std::vector<Detection>>& detections;  ///< [N] in input pixels
  /// [N] the same detections, and the labels, in pixels of the pictures.
  const std::vector<std::vector<Detection>>& found;
  const std::vector<std::vector<TruthBox>>& truths;
};

struct EvaluateOptions {
  ValConfig val;
  int workers = 2;
  /// On the model's device, for a model on a GPU; a new one if absent. On the CPU memory comes from
  /// the arena that is open.
  std::shared_ptr<Arena> arena;
  /// NmsOptions::found_as; boxes of a class that is none of the data's do not count.
  std::vector<int64_t> found_as = {};
  /// Test-time augmentation (detect/test_time_augmentation.h).
  bool tta = false;
  /// Loss to compute along the way; none if absent. Not with tta.
  std::optional<DetectionLossOptions> loss;
  /// Sees each batch, for drawing.
  std::function<void(const EvaluatedBatch&)> on_batch;
  /// True ends the pass early; the result then covers what has been processed.
  std::function<bool()> stop;
  /// For several processes that validate together: each processes its own batches, on_batch is
  /// called for these only, and all get the same result. The model must be the same in all.
  Exchange* exchange = nullptr;
};

struct EvaluateResult {
  MetricsResult metrics;
  ConfusionMatrix confusion;
  DetectionLossItems loss;  ///< mean over the batches
  double seconds = 0;
  std::vector<Finding> findings;  ///< pictures that could not be read

  /// YOLOv5's criterion for the best checkpoint: 0.1 mAP50 + 0.9 mAP50-95.
  double fitness() const { return 0.1 * metrics.map50 + 0.9 * metrics.map; }
};

/// model: prepared for inference. It may know more classes than the data, if the data's come first:
/// boxes of the others do not count. throws what the loader and the network throw, in all processes
/// as Exchange::together does; NotFiniteError for a network whose output is NaN; ValueError for a
/// loss with tta.
EvaluateResult evaluate(Model& model, std::shared_ptr<const Dataset> dataset,
                        const EvaluateOptions& options);

}  // namespace ydistill
