// SPDX-License-Identifier: MIT
#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <span>
#include <utility>

#include <ydistill/data/batch_memory.h>
#include <ydistill/data/batch_shape.h>
#include <ydistill/data/epoch_order.h>
#include <ydistill/data/loader.h>
#include <ydistill/data/picture_store.h>
#include <ydistill/data/picture_weights.h>
#include <ydistill/data/prefetch.h>
#include <ydistill/data/resize.h>
#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

// Names of random streams (Rng's `purpose`).
constexpr uint32_t kAugmentStream = 0x61756720, kScaleStream = 0x7363616c,
                   kWeightStream = 0x77656967;

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
  if (!(options.multi_scale >= 0 && options.multi_scale <= 0.9)) {
    throw ValueError("TrainLoader: multi-scale {}, 0 to 0.9 wanted", options.multi_scale);
  }
  const bool varies = options.multi_scale > 0 || options.form == BatchForm::kRectangular;
  if (options.stride < 1 || (varies && options.image_size % options.stride != 0)) {
    throw ValueError("TrainLoader: image size {}, a multiple of the stride {} wanted",
                     options.image_size, options.stride);
  }
  if (options.form == BatchForm::kRectangular && options.unlabelled_share > 0) {
    throw ValueError("TrainLoader: rectangular batches cannot hold a share of unlabelled pictures");
  }
  if (options.shares < 1 || options.share < 0 || options.share >= options.shares) {
    throw ValueError("TrainLoader: share {} of {}, 0 to one less than there are wanted",
                     options.share, options.shares);
  }
  check_augment_options(options.augment);
}

}  // namespace

struct TrainLoader::State : BatchMaker {
  State(std::shared_ptr<const Dataset> data, const TrainLoaderOptions& wanted)
      : dataset(std::move(data)),
        options(wanted),
        store(dataset, wanted.cache_bytes, wanted.cache_folder),
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

  bool is_rectangular() const { return options.form == BatchForm::kRectangular; }

  void begin_epoch(int64_t wanted) {
    epoch = wanted;
    order = plan.order(is_rectangular() ? Order::kFile : options.order, options.seed, epoch);
    if (is_rectangular()) order.indices = sorted_by_shape(*dataset, std::move(order.indices));
    partners = alike;
    if (!weights.empty()) draw_labelled();
    count_earlier();
    frames.clear();
    for (int64_t number = 0; number < plan.num_batches(); ++number) {
      frames.push_back(frame_of(number));
    }
  }

  /// For each position, how often its picture occurred before in this epoch: unlabelled ones can
  /// repeat.
  void count_earlier() {
    std::vector<int64_t> times(size_t(num_samples()), 0);
    earlier.clear();
    for (const int64_t index : order.indices) earlier.push_back(times[size_t(index)]++);
  }

  /// Replaces labelled pictures by pictures drawn by weight.
  void draw_labelled() {
    if (alike[1].empty()) return;
    partners[1] = draw_by_weight(alike[1], weights, int64_t(alike[1].size()),
                                 Rng(options.seed, uint64_t(epoch), 0, kWeightStream));
    size_t next = 0;
    for (int64_t& index : order.indices) {
      if (dataset->samples[size_t(index)].labelled) index = partners[1][next++];
    }
  }

  /// The sizes of a batch; depend on seed, epoch and batch number.
  SampleFrame frame_of(int64_t number) const {
    PictureSize frame{options.image_size, options.image_size};
    if (is_rectangular()) {
      const int64_t begin = order.begins[size_t(number)], end = order.begins[size_t(number) + 1];
      const std::span<const int64_t> all = order.indices;
      frame = input_of_batch(*dataset, all.subspan(size_t(begin), size_t(end - begin)),
                             options.image_size, options.stride, 0);
    }
    if (options.multi_scale <= 0) return SampleFrame(options.image_size, frame);
    // YOLOv5: random.randrange(0.5 s, 1.5 s + stride) // stride * stride
    const double s = double(options.image_size);
    const int64_t low = int64_t(s * (1 - options.multi_scale));
    const int64_t high = int64_t(s * (1 + options.multi_scale)) + options.stride;
    Rng rng(options.seed, uint64_t(epoch), uint64_t(number), kScaleStream);
    const int64_t drawn = (low + rng.below(high - low)) / options.stride * options.stride;
    const int64_t longer = std::max(drawn, options.stride);
    const int64_t whole = std::max(frame.width, frame.height) * options.stride;
    const auto scaled = [&](int64_t side) {
      return (side * longer + whole - 1) / whole * options.stride;
    };
    return SampleFrame(options.image_size, frame, {scaled(frame.width), scaled(frame.height)});
  }

  /// Number of pictures of a batch that this loader returns.
  int64_t num_own(int64_t number) const {
    return own_of(order.begins[size_t(number) + 1] - order.begins[size_t(number)]);
  }
  /// The same for a batch of `all` pictures.
  int64_t own_of(int64_t all) const {
    return std::max<int64_t>((all - options.share + options.shares - 1) / options.shares, 1);
  }

  /// Position in `order` of the picture in this loader's slot.
  int64_t place_of(int64_t number, int64_t slot) const {
    const int64_t begin = order.begins[size_t(number)],
                  all = order.begins[size_t(number) + 1] - begin;
    return begin + (options.share + slot * options.shares) % all;
  }

  Batch open(int64_t number) override {
    const int64_t count = num_own(number);
    const PictureSize size = frames[size_t(number)].output;
    Batch batch;
    batch.number = number;
    if (!makes_plans() || (epoch == 0 && number < options.rendered_batches)) {
      batch.images = memory.pictures({count, size.height, size.width, 3});
    }
    if (makes_plans()) batch.plans.resize(size_t(count));
    for (int64_t slot = 0; slot < count; ++slot) {
      batch.indices.push_back(order.indices[size_t(place_of(number, slot))]);
    }
    batch.labelled.resize(size_t(count));
    return batch;
  }

  bool fill(Batch& batch, int64_t slot, std::vector<Label>& labels) override {
    const SampleFrame& frame = frames[size_t(batch.number)];
    const int64_t listed = batch.indices[size_t(slot)];
    const bool needs_pixels = batch.images.defined();
    const LoadedPicture own = readable_from(listed, needs_pixels, frame.frame);
    const int64_t index = own.index;
    batch.indices[size_t(slot)] = index;
    const bool labelled = dataset->samples[size_t(index)].labelled;
    batch.labelled[size_t(slot)] = labelled ? 1 : 0;
    const PictureSource source = [&](int64_t i) {
      return i == index ? own : readable_from(i, needs_pixels, frame.frame);
    };
    AugmentOptions augment = options.augment;
    if (epoch >= options.mosaic_epochs || is_rectangular()) augment.mosaic = 0;
    // The stream is that of the listed picture, not of its replacement, and a new one if it is
    // listed again; if pictures are drawn by weight, it is that of the position.
    const int64_t place = place_of(batch.number, slot);
    const int64_t stream =
        weights.empty() ? listed + num_samples() * earlier[size_t(place)] : num_samples() + place;
    SamplePlan plan =
        plan_training_sample(augment, index, partners[labelled ? 1 : 0], source, frame,
                             Rng(options.seed, uint64_t(epoch), uint64_t(stream), kAugmentStream));
    labels = std::move(plan.labels);
    if (needs_pixels) {
      const int64_t picture_bytes = plan.width * plan.height * 3;
      render_sample(plan, batch.images.data<uint8_t>() + slot * picture_bytes);
    }
    if (makes_plans()) batch.plans[size_t(slot)] = std::move(plan);
    return true;
  }

  bool makes_plans() const { return options.device_pictures != nullptr; }

  /// The first readable picture from `index` on, cyclically, that is labelled or not as `index` is
  /// and fits in the frame.
  LoadedPicture readable_from(int64_t index, bool needs_pixels, const PictureSize& frame) {
    const bool labelled = dataset->samples[size_t(index)].labelled;
    for (int64_t step = 0; step < num_samples(); ++step) {
      const int64_t at = (index + step) % num_samples();
      const Sample& sample = dataset->samples[size_t(at)];
      if (sample.labelled != labelled) continue;
      const PictureSize size = load_size(sample.width, sample.height, options.image_size);
      if (size.width > frame.width || size.height > frame.height) continue;
      if (!needs_pixels && options.device_pictures->has(at)) {
        return {nullptr, &sample.labels, at, size};
      }
      auto image = store.load(at, size.width, size.height, Interpolation::kBilinear);
      if (image) return {std::move(image), &sample.labels, at, size};
    }
    if (auto stretched = stretched_for(index)) return *stretched;
    const std::vector<Finding> findings = store.findings();
    throw FileError("no {} picture can be read any more: {} left out, the first: {}",
                    labelled ? "labelled" : "unlabelled", findings.size(),
                    findings.empty() ? "" : findings.front().str());
  }

  /// The next readable picture of the kind of `index`, stretched to the size of `index`: used if no
  /// other fits in the frame. Nothing if the GPU stores pictures, which have their own sizes there.
  std::optional<LoadedPicture> stretched_for(int64_t index) {
    if (makes_plans()) return std::nullopt;
    const Sample& listed = dataset->samples[size_t(index)];
    const PictureSize size = load_size(listed.width, listed.height, options.image_size);
    for (int64_t step = 1; step < num_samples(); ++step) {
      const int64_t at = (index + step) % num_samples();
      const Sample& sample = dataset->samples[size_t(at)];
      if (sample.labelled != listed.labelled) continue;
      const PictureSize own = load_size(sample.width, sample.height, options.image_size);
      const auto image = store.load(at, own.width, own.height, Interpolation::kBilinear);
      if (!image) continue;
      return LoadedPicture{std::make_shared<const Image>(
                               resize(*image, size.width, size.height, Interpolation::kBilinear)),
                           &sample.labels, at, size};
    }
    return std::nullopt;
  }

  const std::shared_ptr<const Dataset> dataset;
  const TrainLoaderOptions options;
  PictureStore store;
  const std::array<std::vector<int64_t>, 2> alike;  // unlabelled and labelled pictures
  const EpochPlan plan;
  std::vector<double> weights;  // of pictures; empty: none
  int64_t epoch = 0;
  EpochOrder order;
  std::vector<int64_t> earlier;                  // one per position of `order`
  std::array<std::vector<int64_t>, 2> partners;  // as `alike`
  std::vector<SampleFrame> frames;               // one per batch
  BatchMemory memory;                            // of this epoch's batches
  std::optional<Prefetcher> prefetcher;          // last: its threads use the members above
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

int64_t TrainLoader::largest_batch() const {
  return state_->own_of(state_->plan.pictures_in(0));
}

int64_t TrainLoader::smallest_batch() const {
  return state_->own_of(state_->plan.pictures_in(batches_per_epoch() - 1));
}

double TrainLoader::unlabelled_share() const {
  return state_->plan.unlabelled_share();
}

void TrainLoader::set_picture_weights(std::vector<double> weights) {
  if (!weights.empty() && int64_t(weights.size()) != state_->num_samples()) {
    throw ValueError("TrainLoader: {} picture weights for {} pictures", weights.size(),
                     state_->num_samples());
  }
  for (const double weight : weights) {
    if (!(weight >= 0 && std::isfinite(weight))) {
      throw ValueError("TrainLoader: a picture weight of {}, at least 0 wanted", weight);
    }
  }
  state_->prefetcher.reset();
  state_->weights = std::move(weights);
}

void TrainLoader::start_epoch(int64_t epoch, int64_t first_batch) {
  if (epoch < 0 || first_batch < 0 || first_batch > batches_per_epoch()) {
    throw ValueError("TrainLoader: epoch {} from batch {}, an epoch has {}", epoch, first_batch,
                     batches_per_epoch());
  }
  state_->prefetcher.reset();
  state_->begin_epoch(epoch);
  state_->prefetcher.emplace(*state_, first_batch, batches_per_epoch(), state_->options.workers);
}

bool TrainLoader::next(Batch& batch) {
  if (state_->prefetcher && state_->prefetcher->next(batch)) return true;
  if (state_->prefetcher) state_->memory.clear();
  return false;
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
