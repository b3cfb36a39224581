// SPDX-License-Identifier: MIT
// Detections in COCO's results format, as pycocotools and COCO's server read it:
//   [{"image_id": 42, "category_id": 18, "bbox": [258.15, 41.29, 348.26, 243.78], "score": 0.236}]
// bbox is left, top, width and height in pixels of the picture.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include <ydistill/train/evaluate.h>
#include <ydistill/train/exchange.h>

namespace ydistill {

/// Collects the boxes of a validation. Pictures and classes have the ids of the data's COCO file.
/// For other data, the id of a picture is its file name without extension, as a number if it is
/// one, and the id of a class is its index among the names (as in YOLOv5, except for COCO's own 80
/// classes).
class CocoResults {
 public:
  /// throws ConfigError if two pictures would have the same id, and for a COCO file whose
  /// categories became one class.
  explicit CocoResults(std::shared_ptr<const Dataset> dataset);
  /// For EvaluateOptions::on_batch.
  void add(const EvaluatedBatch& batch);
  /// Called by all processes; the first one writes the file, replaced completely or not at all.
  /// Returns the number of boxes, of all processes, whose classes have no category in the COCO
  /// file: these are left out. throws FileError.
  int64_t write(const std::filesystem::path& file, Exchange& exchange) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::string boxes_;  // one per line, with a comma after each
  int64_t left_out_ = 0;
};

}  // namespace ydistill
