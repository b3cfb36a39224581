// SPDX-License-Identifier: MIT
#include <algorithm>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include <ydistill/data/batch_shape.h>
#include <ydistill/data/loader.h>
#include <ydistill/data/picture_store.h>
#include <ydistill/data/prefetch.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

void check_options(const ValLoaderOptions& options, const std::shared_ptr<const Dataset>& data) {
  if (!data || data->samples.empty()) throw ValueError("ValLoader: the dataset has no pictures");
  if (options.stride < 1 || options.image_size < options.stride || options.image_size > 16384 ||
      options.image_size % options.stride != 0) {
    throw ValueError("ValLoader: image size {}, a multiple of the stride {} up to 16384 wanted",
                     options.image_size, options.stride);
  }
  if (options.batch < 1) throw ValueError("ValLoader: batch {}, at least 1 wanted", options.batch);
  if (!(options.extra_strides >= 0 && options.extra_strides <= 16)) {
    throw ValueError("ValLoader: {} extra strides, 0 to 16 wanted", options.extra_strides);
  }
  if (options.workers < 0 || options.workers > 1024) {
    throw ValueError("ValLoader: {} workers, 0 to 1024 wanted", options.workers);
  }
  if (options.cache_bytes < 0) {
    throw ValueError("ValLoader: a cache of {} bytes, at least 0 wanted", options.cache_bytes);
  }
}

}  // namespace

struct ValLoader::State : BatchMaker {
  State(std::shared_ptr<const Dataset> data, const ValLoaderOptions& wanted)
      : dataset(std::move(data)), options(wanted), store(dataset, wanted.cache_bytes) {
    order.resize(dataset->samples.size());
    std::iota(order.begin(), order.end(), 0);
    if (options.form == BatchForm::kRectangular)
      order = sorted_by_shape(*dataset, std::move(order));
    const std::span<const int64_t> all = order;
    for (size_t begin = 0; begin < all.size(); begin += size_t(options.batch)) {
      inputs.push_back(
          input_of(all.subspan(begin, std::min(all.size() - begin, size_t(options.batch)))));
    }
  }

  PictureSize input_of(std::span<const int64_t> indices) const {
    if (options.form == BatchForm::kSquare) return {options.image_size, options.image_size};
    return input_of_batch(*dataset, indices, options.image_size, options.stride,
                          options.extra_strides);
  }

  Batch open(int64_t number) override {
    const size_t begin = size_t(number * options.batch);
    const size_t end = std::min(order.size(), begin + size_t(options.batch));
    const PictureSize input = inputs[size_t(number)];
    Batch batch;
    batch.images =
        Tensor::empty({int64_t(end - begin), input.height, input.width, 3}, DType::kUInt8);
    for (size_t i = begin; i < end; ++i) {
      const Sample& sample = dataset->samples[size_t(order[i])];
      batch.indices.push_back(order[i]);
      batch.labelled.push_back(sample.labelled ? 1 : 0);
      batch.letterboxes.push_back(validation_letterbox(
          sample.width, sample.height, options.image_size, input.width, input.height));
    }
    return batch;
  }

  bool fill(Batch& batch, int64_t slot, std::vector<Label>& labels) override {
    const int64_t index = batch.indices[size_t(slot)];
    const Letterbox& box = batch.letterboxes[size_t(slot)];
    const auto inner = store.load(index, box.inner_width, box.inner_height, box.interpolation);
    if (!inner) return false;
    place_in_letterbox(*inner, box,
                       batch.images.data<uint8_t>() + slot * box.width * box.height * 3);
    const Sample& sample = dataset->samples[size_t(index)];
    const double w = double(sample.width), h = double(sample.height);
    for (const Label& label : sample.labels) {
      const CornerBox in_picture{w * (label.cx - label.w / 2), h * (label.cy - label.h / 2),
                                 w * (label.cx + label.w / 2), h * (label.cy + label.h / 2)};
      labels.push_back(
          fractions_of({label.class_id, to_input(box, in_picture)}, box.width, box.height));
    }
    return true;
  }

  const std::shared_ptr<const Dataset> dataset;
  const ValLoaderOptions options;
  PictureStore store;
  std::vector<int64_t> order;
  std::vector<PictureSize> inputs;  // one per batch
  int64_t pictures_given = 0;
  bool is_whole = false;                 // the pass has all batches
  std::optional<Prefetcher> prefetcher;  // last: its threads use the members above
};

ValLoader::ValLoader(std::shared_ptr<const Dataset> dataset, const ValLoaderOptions& options) {
  check_options(options, dataset);
  state_ = std::make_unique<State>(std::move(dataset), options);
}

ValLoader::~ValLoader() = default;

std::vector<Shape> ValLoader::batch_shapes() const {
  std::vector<Shape> shapes;
  for (size_t i = 0; i < state_->inputs.size(); ++i) {
    const int64_t begin = int64_t(i) * state_->options.batch;
    const int64_t pictures = std::min(int64_t(state_->order.size()) - begin, state_->options.batch);
    const Shape shape{pictures, state_->inputs[i].height, state_->inputs[i].width, 3};
    if (std::find(shapes.begin(), shapes.end(), shape) == shapes.end()) shapes.push_back(shape);
  }
  std::stable_sort(shapes.begin(), shapes.end(),
                   [](const Shape& a, const Shape& b) { return a.numel() > b.numel(); });
  return shapes;
}

int64_t ValLoader::num_batches() const {
  return int64_t(state_->inputs.size());
}

void ValLoader::start(int64_t begin, int64_t end) {
  if (!(0 <= begin && begin <= end && end <= num_batches())) {
    throw ValueError("ValLoader: batches {} to {}, there are {}", begin, end, num_batches());
  }
  state_->prefetcher.reset();
  state_->pictures_given = 0;
  state_->is_whole = begin == 0 && end == num_batches();
  state_->prefetcher.emplace(*state_, begin, end, state_->options.workers);
}

bool ValLoader::next(Batch& batch) {
  if (!state_->prefetcher) return false;
  while (state_->prefetcher->next(batch)) {
    state_->pictures_given += int64_t(batch.indices.size());
    if (!batch.indices.empty()) return true;
  }
  if (state_->pictures_given == 0 && state_->is_whole) refuse_unreadable(findings());
  return false;
}

void ValLoader::refuse_unreadable(const std::vector<Finding>& left_out) {
  throw FileError("no picture of the dataset can be read any more: {} left out, the first: {}",
                  left_out.size(), left_out.empty() ? "" : left_out.front().str());
}

double ValLoader::seconds_waited() const {
  return state_->prefetcher ? state_->prefetcher->seconds_waited() : 0;
}

std::vector<Finding> ValLoader::findings() const {
  return state_->store.findings();
}

}  // namespace ydistill
