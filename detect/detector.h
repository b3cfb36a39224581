// SPDX-License-Identifier: MIT
// Detector: picture in, boxes out. What embedders use.
//
//   ydistill::Detector detector("best.safetensors");
//   for (const auto& found : detector.detect(rgb, width, height)) ...
//
// Use one Detector per thread. After the first picture of a size, or the first batch of a shape, no
// more memory is requested from the system, except for the views of tta.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>
#include <ydistill/data/image.h>
#include <ydistill/tensor/compute.h>
#include <ydistill/yolo/nms.h>

namespace ydistill {

class Arena;
struct Checkpoint;

struct DetectorOptions {
  double conf = 0.25;     ///< scores above this are reported, 0..1
  double iou = 0.45;      ///< of two boxes with an IoU above this only the higher-scoring is kept
  int64_t max_det = 300;  ///< maximum number of boxes per picture
  /// Whether boxes of different classes suppress each other.
  NmsScope scope = NmsScope::kPerClass;
  /// Classes that count as one and suppress each other's boxes. class_names() and the class ids of
  /// boxes are those after the merge.
  ClassMerges merge = {};
  /// Class ids (after the merge) whose boxes are reported; empty: all.
  std::vector<int64_t> classes = {};
  /// Test-time augmentation: three views of each picture (test_time_augmentation.h).
  bool tta = false;
  int64_t image_size = 640;  ///< the longer side in the network, pixels; a multiple of the stride
  /// Default: float32 on the CPU; see choose_inference_compute. int8 needs calibrated weights, as
  /// `ydistill quantize` writes them.
  Compute compute = {};
};

/// Where the time of a call went, in milliseconds.
struct DetectTimes {
  double letterbox = 0;  ///< scaling and padding to the network's input
  double network = 0;    ///< up to the logits; a shape's first batch also plans convolutions
  double nms = 0;        ///< decoding, suppression, conversion to the pictures' pixels; with tta
                         ///< also making the views
};

class Detector {
 public:
  /// weights: .pt of YOLOv5 v5.0 to v7.0, or .safetensors. throws FileError; ValueError for options
  /// out of range and for a merge of classes that the network does not have.
  explicit Detector(const std::filesystem::path& weights, const DetectorOptions& options = {});
  explicit Detector(const Checkpoint& checkpoint, const DetectorOptions& options = {});
  ~Detector();
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;

  /// rgb: [height, width, 3], rows from the top. Boxes are in pixels of the picture, clipped to it,
  /// highest score first. throws ValueError if rgb has another size.
  std::vector<Detection> detect(std::span<const uint8_t> rgb, int64_t width, int64_t height);
  std::vector<Detection> detect(const ImageView& image);
  /// Many pictures, for throughput: those whose network inputs have the same shape run as one
  /// batch. Each picture gets the same input and boxes as from detect(), up to rounding: a library
  /// may order its sums by the batch size. Returns one list per picture, in the order of `images`.
  /// Memory grows with the largest batch.
  /// throws ValueError, before any computation, naming the picture whose rgb has another size.
  std::vector<std::vector<Detection>> detect_batch(std::span<const ImageView> images);
  /// Boxes for a network input, uint8 [N,H,W,3], in pixels of that input; one list per picture.
  std::vector<std::vector<Detection>> detect_inputs(const Tensor& images);

  const std::vector<std::string>& class_names() const;
  const DetectorOptions& options() const;
  /// Peak CPU memory over all input shapes so far, without the weights, in bytes.
  int64_t memory_bytes() const;
  /// Times of the last detect call.
  const DetectTimes& last_times() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ydistill
