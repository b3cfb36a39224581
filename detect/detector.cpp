// SPDX-License-Identifier: MIT
#include <ydistill/detect/detector.h>

#include <algorithm>
#include <chrono>

#include <ydistill/detect/in_picture.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/inference.h>

namespace ydistill {

struct Detector::State {
  std::unique_ptr<Model> model;
  std::vector<std::string> names;
  DetectorOptions options;
  std::shared_ptr<Arena> arena;
  std::unique_ptr<Inference> inference;
  DetectTimes times;

  std::vector<std::vector<Detection>> boxes(const std::vector<Tensor>& logits) const {
    NmsOptions nms;
    nms.conf = options.conf;
    nms.iou = options.iou;
    nms.max_det = options.max_det;
    return nms_heads(logits, model->spec().anchors, nms);
  }
};

namespace {

/// Milliseconds since the last call, or since it was made.
class Lap {
 public:
  double operator()() {
    const auto now = std::chrono::steady_clock::now();
    const std::chrono::duration<double, std::milli> took = now - last_;
    last_ = now;
    return took.count();
  }

 private:
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace

Detector::Detector(const std::filesystem::path& weights, const DetectorOptions& options)
    : Detector(load_checkpoint(weights, PtWeights::kEma), options) {}

Detector::Detector(const Checkpoint& checkpoint, const DetectorOptions& options)
    : state_(std::make_unique<State>()) {
  const int64_t stride = checkpoint.spec.max_stride();
  if (options.image_size < stride || options.image_size % stride != 0) {
    throw ValueError("detector: image_size must be a multiple of {}, got {}", stride,
                     options.image_size);
  }
  if (!(options.conf >= 0 && options.conf <= 1)) {
    throw ValueError("detector: conf must be 0..1, got {}", options.conf);
  }
  if (!(options.iou >= 0 && options.iou <= 1)) {
    throw ValueError("detector: iou must be 0..1, got {}", options.iou);
  }
  use_compute(options.compute);
  state_->model = build_model(checkpoint, options.compute);
  state_->model->prepare_inference();
  state_->names = checkpoint.class_names;
  state_->options = options;
  state_->arena = Arena::create();
  state_->inference = std::make_unique<Inference>(*state_->model);
}

Detector::~Detector() = default;
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;

std::vector<std::vector<Detection>> Detector::detect_inputs(const Tensor& images) {
  const ArenaScope scope(state_->arena);
  return state_->boxes(state_->inference->logits(images));
}

std::vector<Detection> Detector::detect(std::span<const uint8_t> rgb, int64_t width,
                                        int64_t height) {
  if (width < 1 || height < 1 || int64_t(rgb.size()) != width * height * 3) {
    throw ValueError("detector: a picture of {}x{} has {} bytes, got {}", width, height,
                     std::max<int64_t>(width, 0) * std::max<int64_t>(height, 0) * 3, rgb.size());
  }
  return detect(Image{width, height, {rgb.begin(), rgb.end()}});
}

std::vector<Detection> Detector::detect(const Image& image) {
  const ArenaScope scope(state_->arena);
  Lap lap;
  const Letterbox letterbox = detection_letterbox(
      image.width, image.height, state_->options.image_size, state_->model->spec().max_stride());
  const Tensor input = Tensor::empty({1, letterbox.height, letterbox.width, 3}, DType::kUInt8);
  apply_letterbox(image, letterbox, input.data<uint8_t>());
  state_->times.letterbox = lap();
  const std::vector<Tensor> logits = state_->inference->logits(input);
  state_->times.network = lap();
  std::vector<Detection> found = in_picture(letterbox, std::move(state_->boxes(logits).at(0)));
  state_->times.nms = lap();
  return found;
}

const std::vector<std::string>& Detector::class_names() const {
  return state_->names;
}

const DetectorOptions& Detector::options() const {
  return state_->options;
}

int64_t Detector::memory_bytes() const {
  return state_->arena->peak_bytes();
}

const DetectTimes& Detector::last_times() const {
  return state_->times;
}

}  // namespace ydistill
