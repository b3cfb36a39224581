// SPDX-License-Identifier: MIT
#include <ydistill/detect/detector.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include <ydistill/detect/in_picture.h>
#include <ydistill/detect/test_time_augmentation.h>
#include <ydistill/tensor/arena.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/graph.h>
#endif
#include <ydistill/tensor/parallel.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/inference.h>

namespace ydistill {

struct Detector::State {
  std::unique_ptr<Model> model;
  std::vector<std::string> names;
  std::vector<int64_t> found_as;  // NmsOptions; empty where no classes are merged
  DetectorOptions options;
  std::shared_ptr<Arena> arena;
  std::unique_ptr<Inference> inference;
  DetectTimes times;

  /// Finds the boxes in a network input, in pixels of the input.
  std::vector<std::vector<Detection>> find(const Tensor& input);
  /// Detects in images[i], i in `batch`, whose letterboxes have the same size, and sets found[i].
  void detect(std::span<const ImageView> images, const std::vector<Letterbox>& letterboxes,
              const std::vector<size_t>& batch, std::vector<std::vector<Detection>>& found);
};

namespace {

void check_picture(const ImageView& image, size_t number, size_t count) {
  const int64_t width = image.width, height = image.height;
  if (width >= 1 && height >= 1 && width <= kMaxPixels / height &&
      int64_t(image.rgb.size()) == width * height * 3) {
    return;
  }
  const std::string which = count > 1 ? fmt::format("picture {}: ", number) : "";
  if (width < 1 || height < 1 || width > kMaxPixels / height) {
    throw ValueError("detector: {}{}x{} pixels, sides from 1 and at most {} pixels wanted", which,
                     width, height, kMaxPixels);
  }
  throw ValueError("detector: {}a picture of {}x{} has {} bytes, got {}", which, width, height,
                   width * height * 3, image.rgb.size());
}

NmsOptions nms_options(const DetectorOptions& options, const std::vector<int64_t>& found_as) {
  NmsOptions nms;
  nms.conf = options.conf;
  nms.iou = options.iou;
  nms.max_det = options.max_det;
  nms.scope = options.scope;
  nms.classes = options.classes;
  nms.found_as = found_as;
  return nms;
}

/// The indices of the letterboxes grouped by size, in order of first appearance.
std::vector<std::vector<size_t>> by_shape(const std::vector<Letterbox>& letterboxes) {
  std::vector<std::vector<size_t>> batches;
  for (size_t i = 0; i < letterboxes.size(); ++i) {
    const auto same = std::find_if(batches.begin(), batches.end(), [&](const auto& batch) {
      const Letterbox& first = letterboxes[batch.front()];
      return first.width == letterboxes[i].width && first.height == letterboxes[i].height;
    });
    if (same != batches.end()) {
      same->push_back(i);
    } else {
      batches.push_back({i});
    }
  }
  return batches;
}

/// Milliseconds since the last call, or since construction.
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

std::vector<std::vector<Detection>> Detector::State::find(const Tensor& input) {
  use_compute(options.compute);  // another detector of this thread may have its own
  Lap lap;
  double in_network = 0;
  const Network network = [&](const Tensor& images) {
    Lap run;
    std::vector<Tensor> logits = inference->logits(images);
#ifdef YD_HAVE_CUDA
    if (logits[0].device().is_cuda()) cuda::wait_for_gpu();  // else the wait would count as NMS
#endif
    in_network += run();
    return logits;
  };
  const Anchors& anchors = model->spec().anchors;
  const NmsOptions nms = nms_options(options, found_as);
  auto found = options.tta ? nms_with_tta(network, input, model->spec().max_stride(), anchors, nms)
                           : nms_heads(network(input), anchors, nms);
  times.network += in_network;
  times.nms += lap() - in_network;
  return found;
}

void Detector::State::detect(std::span<const ImageView> images,
                             const std::vector<Letterbox>& letterboxes,
                             const std::vector<size_t>& batch,
                             std::vector<std::vector<Detection>>& found) {
  const ArenaScope scope(arena);
  Lap lap;
  const int64_t count = int64_t(batch.size());
  const int64_t width = letterboxes[batch[0]].width, height = letterboxes[batch[0]].height;
  const Tensor input = Tensor::empty({count, height, width, 3}, DType::kUInt8);
  uint8_t* const pixels = input.data<uint8_t>();
  parallel_for(count, 1, [&](int64_t i) {
    const size_t picture = batch[size_t(i)];
    apply_letterbox(images[picture], letterboxes[picture], pixels + i * height * width * 3);
  });
  times.letterbox += lap();
  std::vector<std::vector<Detection>> in_input = find(input);
  lap();  // find() has counted its own time
  for (size_t i = 0; i < batch.size(); ++i) {
    found[batch[i]] = in_picture(letterboxes[batch[i]], std::move(in_input[i]));
  }
  times.nms += lap();
}

Detector::Detector(const std::filesystem::path& weights, const DetectorOptions& options)
    : Detector(load_checkpoint(weights, PtWeights::kEma), options) {}

Detector::Detector(const Checkpoint& checkpoint, const DetectorOptions& options)
    : state_(std::make_unique<State>()) {
  const int64_t stride = checkpoint.spec.max_stride();
  if (options.image_size < stride || options.image_size % stride != 0) {
    throw ValueError("detector: image_size must be a multiple of {}, got {}", stride,
                     options.image_size);
  }
  if (options.image_size > kMaxPixels / options.image_size) {
    throw ValueError("detector: image_size {}: a network's input has at most {} pixels",
                     options.image_size, kMaxPixels);
  }
  try {
    check_merges(options.merge, checkpoint.class_names);
  } catch (const ValueError& error) {
    throw ValueError("detector: merge: {}", error.what());
  }
  MergedNames merged = merged_names(checkpoint.class_names, options.merge);
  check_nms_options(nms_options(options, {}), int64_t(merged.names.size()));
  use_compute(options.compute);
  state_->model = build_inference_model(checkpoint, options.compute);
  state_->names = std::move(merged.names);
  if (!options.merge.empty()) state_->found_as = std::move(merged.id_of);
  state_->options = options;
  state_->arena = Arena::create();
  state_->inference = std::make_unique<Inference>(*state_->model);
}

Detector::~Detector() = default;
Detector::Detector(Detector&&) noexcept = default;
Detector& Detector::operator=(Detector&&) noexcept = default;

std::vector<std::vector<Detection>> Detector::detect_inputs(const Tensor& images) {
  const ArenaScope scope(state_->arena);
  state_->times = {};
  return state_->find(images);
}

std::vector<Detection> Detector::detect(std::span<const uint8_t> rgb, int64_t width,
                                        int64_t height) {
  return detect(ImageView(width, height, rgb));
}

std::vector<Detection> Detector::detect(const ImageView& image) {
  return std::move(detect_batch(std::span(&image, 1)).front());
}

std::vector<std::vector<Detection>> Detector::detect_batch(std::span<const ImageView> images) {
  for (size_t i = 0; i < images.size(); ++i) check_picture(images[i], i, images.size());
  state_->times = {};
  std::vector<Letterbox> letterboxes;
  for (const ImageView& image : images) {
    letterboxes.push_back(detection_letterbox(image.width, image.height, state_->options.image_size,
                                              state_->model->spec().max_stride()));
  }
  std::vector<std::vector<Detection>> found(images.size());
  for (const std::vector<size_t>& batch : by_shape(letterboxes)) {
    state_->detect(images, letterboxes, batch, found);
  }
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
