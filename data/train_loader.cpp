// SPDX-License-Identifier: MIT
#include <array>
#include <optional>
#include <utility>

#include <ydistill/data/epoch_order.h>
#include <ydistill/data/loader.h>
#include <ydistill/data/picture_store.h>
#include <ydistill/data/prefetch.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

// The name of a random stream (Rng's `purpose`).
constexpr uint32_t kAugmentStream = 0x61756720;

void check_options(const TrainLoaderOptions& options, const std::shared_ptr<const Dataset>& data) {
  if (!data || data->samples.empty()) throw ValueError("TrainLoader: the dataset has no pictures");
  if (options.image_size < 1 || options.image_size > 16384) {
    throw ValueError("TrainLoader: image size {}, 1 to 16384 wanted", options.image_size);
  }
  if (options.batch < 1)
    throw ValueError("TrainLoader: batch {}, at least 1 wanted", options.batch);
  if (options.workers < 0 || options.workers > 1024) {
    throw ValueError("TrainLoader: {} workers, 0 to 1024 wanted", options.workers);
  }
  if (options.cache_bytes < 0) {
    throw ValueError("TrainLoader: a cache of {} bytes, at least 0 wanted", options.cache_bytes);
  }
  if (!(options.unlabelled_share <= 1)) {
    throw ValueError("TrainLoader: a share of {} unlabelled pictures, at most 1 wanted",
                     options.unlabelled_share);
  }
  check_augment_options(options.augment);
}

}  // namespace

struct TrainLoader::State : BatchMaker {
  State(std::shared_ptr<const Dataset> data, const TrainLoaderOptions& wanted)
      : dataset(std::move(data)),
        options(wanted),
        store(dataset, wanted.cache_bytes),
        alike{of_kind(false), of_kind(true)},
        plan(alike[1], alike[0], wanted.batch, wanted.unlabelled_share) {}

  std::vector<int64_t> of_kind(bool labelled) const {
    std::vector<int64_t> indices;
    for (int64_t i = 0; i < num_samples(); ++i) {
      if (dataset->samples[size_t(i)].labelled == labelled) indices.push_back(i);
    }
    return indices;
  }

  int64_t num_samples() const { return int64_t(dataset->samples.size()); }

  Batch open(int64_t number) override {
    const int64_t begin = order.begins[size_t(number)], end = order.begins[size_t(number) + 1];
    const int64_t count = end - begin;
    Batch batch;
    if (!makes_plans() || (epoch == 0 && number < options.rendered_batches)) {
      batch.images =
          Tensor::empty({count, options.image_size, options.image_size, 3}, DType::kUInt8);
    }
    if (makes_plans()) batch.plans.resize(size_t(count));
    batch.indices.assign(order.indices.begin() + begin, order.indices.begin() + end);
    batch.labelled.resize(size_t(count));
    return batch;
  }

  bool fill(Batch& batch, int64_t slot, std::vector<Label>& labels) override {
    // The stream is the listed picture's, so that a replacement draws numbers of its own.
    const int64_t listed = batch.indices[size_t(slot)];
    const bool needs_pixels = batch.images.defined();
    const LoadedPicture own = readable_from(listed, needs_pixels);
    const int64_t index = own.index;
    batch.indices[size_t(slot)] = index;
    const bool labelled = dataset->samples[size_t(index)].labelled;
    batch.labelled[size_t(slot)] = labelled ? 1 : 0;
    const PictureSource source = [&](int64_t i) {
      return i == index ? own : readable_from(i, needs_pixels);
    };
    AugmentOptions augment = options.augment;
    if (epoch >= options.mosaic_epochs) augment.mosaic = 0;
    SamplePlan plan =
        plan_training_sample(augment, index, alike[labelled ? 1 : 0], source, options.image_size,
                             Rng(options.seed, uint64_t(epoch), uint64_t(listed), kAugmentStream));
    labels = std::move(plan.labels);
    if (needs_pixels) {
      const int64_t picture_bytes = options.image_size * options.image_size * 3;
      render_sample(plan, batch.images.data<uint8_t>() + slot * picture_bytes);
    }
    if (makes_plans()) batch.plans[size_t(slot)] = std::move(plan);
    return true;
  }

  bool makes_plans() const { return options.device_pictures != nullptr; }

  /// The first readable picture from `index` on, round the dataset, labelled or not as `index` is.
  LoadedPicture readable_from(int64_t index, bool needs_pixels) {
    const bool labelled = dataset->samples[size_t(index)].labelled;
    for (int64_t step = 0; step < num_samples(); ++step) {
      const int64_t at = (index + step) % num_samples();
      const Sample& sample = dataset->samples[size_t(at)];
      if (sample.labelled != labelled) continue;
      const PictureSize size = load_size(sample.width, sample.height, options.image_size);
      if (!needs_pixels && options.device_pictures->has(at)) {
        return {nullptr, &sample.labels, at, size};
      }
      auto image = store.load(at, size.width, size.height, Interpolation::kBilinear);
      if (image) return {std::move(image), &sample.labels, at, size};
    }
    const std::vector<Finding> findings = store.findings();
    throw FileError("no picture of the dataset can be read any more: {} left out, the first: {}",
                    findings.size(), findings.empty() ? "" : findings.front().str());
  }

  const std::shared_ptr<const Dataset> dataset;
  const TrainLoaderOptions options;
  PictureStore store;
  const std::array<std::vector<int64_t>, 2> alike;  // unlabelled and labelled pictures
  const EpochPlan plan;
  int64_t epoch = 0;
  EpochOrder order;
  std::optional<Prefetcher> prefetcher;  // last: its threads use what stands above
};

TrainLoader::TrainLoader(std::shared_ptr<const Dataset> dataset,
                         const TrainLoaderOptions& options) {
  check_options(options, dataset);
  state_ = std::make_unique<State>(std::move(dataset), options);
}

TrainLoader::~TrainLoader() = default;

int64_t TrainLoader::batches_per_epoch() const {
  return state_->plan.num_batches();
}

double TrainLoader::unlabelled_share() const {
  return state_->plan.unlabelled_share();
}

void TrainLoader::start_epoch(int64_t epoch, int64_t first_batch) {
  if (epoch < 0 || first_batch < 0 || first_batch > batches_per_epoch()) {
    throw ValueError("TrainLoader: epoch {} from batch {}, an epoch has {}", epoch, first_batch,
                     batches_per_epoch());
  }
  state_->prefetcher.reset();
  state_->epoch = epoch;
  state_->order = state_->plan.order(state_->options.order, state_->options.seed, epoch);
  state_->prefetcher.emplace(*state_, first_batch, batches_per_epoch(), state_->options.workers);
}

bool TrainLoader::next(Batch& batch) {
  return state_->prefetcher && state_->prefetcher->next(batch);
}

double TrainLoader::seconds_waited() const {
  return state_->prefetcher ? state_->prefetcher->seconds_waited() : 0;
}

std::vector<Finding> TrainLoader::findings() const {
  return state_->store.findings();
}

int64_t TrainLoader::cached_bytes() const {
  return state_->store.cached_bytes();
}

}  // namespace ydistill
