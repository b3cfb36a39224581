// SPDX-License-Identifier: MIT
// Detector: picture in, boxes out. What embedders use.
//
//   ydistill::Detector detector("best.safetensors");
//   for (const auto& found : detector.detect(rgb, width, height)) ...
//
// No globals; one Detector a thread. After the first picture of a size, or the first batch of a
// shape, nothing more is allocated from the system (but with tta, for its views).
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
  double iou = 0.45;      ///< of two boxes that overlap more than this only the better is kept
  int64_t max_det = 300;  ///< boxes a picture
  /// Whether boxes of different classes suppress each other.
  NmsScope scope = NmsScope::kPerClass;
  /// Classes that count as one, and suppress each other's boxes: class_names() and the ids of boxes
  /// are those afterwards.
  ClassMerges merge = {};
  /// Only boxes found as one of these are reported; empty: all.
  std::vector<int64_t> classes = {};
  /// Test-time augmentation: three views of each picture (test_time_augmentation.h).
  bool tta = false;
  int64_t image_size = 640;  ///< the longer side in the network, pixels; a multiple of the stride
  /// On the CPU in float32 unless chosen; see choose_inference_compute. In 8 bits weights have to
  /// be calibrated, as `ydistill quantize` writes them.
  Compute compute = {};
};

/// Where the time of a call went, in milliseconds.
struct DetectTimes {
  double letterbox = 0;  ///< scaling and padding to the network's input
  double network = 0;    ///< to the logits; the first of a shape also plans its convolutions
  double nms = 0;        ///< decoding, suppression, back to the pictures' pixels; with tta also the
                         ///< making of its views
};

class Detector {
 public:
  /// weights: .pt of YOLOv5 v5.0 to v7.0, or .safetensors. throws FileError; ValueError for options
  /// out of range, and for a merge of classes that the network does not know.
  explicit Detector(const std::filesystem::path& weights, const DetectorOptions& options = {});
  explicit Detector(const Checkpoint& checkpoint, const DetectorOptions& options = {});
  ~Detector();
  Detector(Detector&&) noexcept;
  Detector& operator=(Detector&&) noexcept;

  /// rgb: [height, width, 3], rows from the top. Boxes are in pixels of the picture, clipped to it,
  /// best score first. throws ValueError if rgb has another size.
  std::vector<Detection> detect(std::span<const uint8_t> rgb, int64_t width, int64_t height);
  std::vector<Detection> detect(const ImageView& image);
  /// Many pictures for throughput: those whose network inputs have one shape run as one batch, the
  /// others as batches of their own; so each gets the input and the boxes that detect() gives it,
  /// up to the rounding of sums that a library orders by the size of a batch. One list a picture,
  /// in the order of `images`. Memory grows with the largest batch.
  /// throws ValueError, before anything is computed, naming the picture whose rgb has another size.
  std::vector<std::vector<Detection>> detect_batch(std::span<const ImageView> images);
  /// Boxes for a network input, uint8 [N,H,W,3], in its own pixels, one list a picture.
  std::vector<std::vector<Detection>> detect_inputs(const Tensor& images);

  const std::vector<std::string>& class_names() const;
  const DetectorOptions& options() const;
  /// What networks of all sizes so far take of the CPU's memory besides the weights, in bytes.
  int64_t memory_bytes() const;
  /// Of the last call that found boxes.
  const DetectTimes& last_times() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ydistill
