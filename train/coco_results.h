// SPDX-License-Identifier: MIT
// What was found, in COCO's format of results, as pycocotools and COCO's server read it:
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

/// Collects the boxes of a validation. Pictures and classes have the ids of the data's COCO file;
/// of other data a picture's id is its name without the ending, as a number where it is one, and a
/// class's its place among the names (YOLOv5 has the same, but for COCO's own 80 classes).
class CocoResults {
 public:
  /// throws ConfigError for pictures that would have one id, and for a COCO file whose categories
  /// became one class.
  explicit CocoResults(std::shared_ptr<const Dataset> dataset);
  /// For EvaluateOptions::on_batch.
  void add(const EvaluatedBatch& batch);
  /// The file, replaced whole or not at all, by the first process; all processes call it. Returns
  /// how many boxes, of all processes, are of classes that the COCO file has no category for: these
  /// are left out. throws FileError.
  int64_t write(const std::filesystem::path& file, Exchange& exchange) const;

 private:
  std::shared_ptr<const Dataset> dataset_;
  std::string boxes_;  // one a line, with a comma behind each
  int64_t left_out_ = 0;
};

}  // namespace ydistill
