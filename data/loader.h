// SPDX-License-Identifier: MIT
// Loaders: a dataset in batches, prepared ahead by threads.
//
// The content of a batch depends only on the dataset, the options, the epoch and the batch's number
// in the epoch; never on the number of threads or their timing.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <vector>

#include <ydistill/data/augment.h>
#include <ydistill/data/dataset.h>
#include <ydistill/data/device_pictures.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

struct Batch {
  Tensor images;                  ///< uint8 [N, H, W, 3] RGB; undefined if only plans are made
  Tensor targets;                 ///< float32 [n, 6]: picture in the batch, class, cx, cy, w, h;
                                  ///< boxes as fractions of the input; ordered by picture
  std::vector<uint8_t> labelled;  ///< [N] Sample::labelled
  std::vector<int64_t> indices;   ///< [N] index into Dataset::samples
  std::vector<Letterbox> letterboxes;  ///< [N] in validation; empty in training
  std::vector<SamplePlan> plans;       ///< [N] with device_pictures; else empty
  int64_t number = 0;                  ///< in its epoch
};

/// Batches of a loader that exist at a time: the one returned last and those prepared ahead.
inline constexpr int64_t kBatchesAlive = 4;

enum class Order {
  kShuffled,  ///< a new permutation every epoch (v6-v7)
  kFile,      ///< the dataset's order every epoch (v5.0)
};

enum class BatchForm {
  kRectangular,  ///< pictures sorted by height / width; each batch in its smallest input
  kSquare,       ///< the loader's order, image_size x image_size
};

struct TrainLoaderOptions {
  int64_t image_size = 640;
  int64_t batch = 16;
  uint64_t seed = 0;
  int workers = 2;  ///< threads; 0: batches are made inside next()
  Order order = Order::kShuffled;
  /// If some pictures are unlabelled: their share of each batch, which has at least one of either
  /// kind. An epoch uses each labelled picture once; the unlabelled ones have an order of their own
  /// that continues over the epochs, so that all are used equally often. 0 or less: one common
  /// order.
  double unlabelled_share = 0;
  /// Rectangular: every epoch the same batches in the same order, without mosaics.
  BatchForm form = BatchForm::kSquare;
  /// The sides of batches vary from 1 - this to 1 + this times their normal size, in whole strides.
  double multi_scale = 0;
  int64_t stride = 32;
  AugmentOptions augment;
  /// Mosaics, copy-paste and mixup are made in epochs below this.
  int64_t mosaic_epochs = std::numeric_limits<int64_t>::max();
  /// Decoded and resized pictures are kept in memory up to this many bytes.
  int64_t cache_bytes = 0;
  /// If set, those beyond that are kept in a file in this folder, deleted with the loader.
  std::filesystem::path cache_folder;
  /// If set, batches hold plans instead of images; pictures already uploaded are not read.
  std::shared_ptr<const DevicePictures> device_pictures;
  /// The first batches of epoch 0, of this number, hold images besides their plans, for display.
  int64_t rendered_batches = 0;
  /// For processes that train together: this is loader `share` of `shares` for the same batches. Of
  /// each batch it returns pictures share, share + shares, share + 2 shares and so on; if a batch
  /// has fewer pictures than shares, some are returned by two loaders.
  int64_t share = 0, shares = 1;
};

/// Augmented batches, square unless options.form is kRectangular. The last batch of an epoch may be
/// smaller.
///
/// A picture that cannot be read is listed in findings() and replaced by the next readable one of
/// the same kind (labelled or not); next() throws only if there is none.
class TrainLoader {
 public:
  /// throws ValueError for options outside their range or an empty dataset.
  TrainLoader(std::shared_ptr<const Dataset> dataset, const TrainLoaderOptions& options);
  /// Stops the threads, also in the middle of an epoch.
  ~TrainLoader();
  TrainLoader(const TrainLoader&) = delete;
  TrainLoader& operator=(const TrainLoader&) = delete;

  int64_t batches_per_epoch() const;
  /// Number of pictures in the largest and the smallest batch that this loader returns.
  int64_t largest_batch() const;
  int64_t smallest_batch() const;
  /// Share of an epoch's pictures that are not labelled.
  double unlabelled_share() const;
  /// From the next epoch on, labelled pictures are drawn in proportion to these weights, with
  /// replacement, as many as there are; partners of mosaics are drawn from those. Empty: each once.
  /// weights: one per picture of the dataset. throws ValueError for another number of them, or one
  /// that is negative or not finite.
  void set_picture_weights(std::vector<double> weights);
  /// Begins an epoch; the rest of the previous one is dropped. first_batch > 0 resumes in the
  /// middle, with the same batches that an uninterrupted epoch has from there on.
  /// throws ValueError for a first_batch outside 0..batches_per_epoch().
  void start_epoch(int64_t epoch, int64_t first_batch = 0);
  /// The next batch; false at the end of the epoch or before the first. Its tensors are on the heap
  /// even if an arena is open. throws FileError if no picture can be read, OutOfMemoryError.
  bool next(Batch& batch);
  /// Seconds that next() has waited for data in this epoch.
  double seconds_waited() const;
  /// Unreadable pictures so far, each once, by dataset index.
  std::vector<Finding> findings() const;
  /// Bytes of pictures kept in memory and on disk.
  int64_t cached_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

struct ValLoaderOptions {
  int64_t image_size = 640;
  int64_t batch = 16;
  int64_t stride = 32;
  BatchForm form = BatchForm::kRectangular;
  /// Sides of rectangular batches are ceil(ratio * image_size / stride + this) strides: with
  /// YOLOv5's 0.5 a square picture at 640 px is placed in 672.
  double extra_strides = 0.5;
  int workers = 2;
  int64_t cache_bytes = 0;  ///< as in training
};

/// Batches for validation, without augmentation. Targets, as fractions of the input, and detections
/// are converted to picture pixels by to_picture() of the letterboxes.
///
/// A picture that cannot be read is listed in findings() and left out of its batch.
class ValLoader {
 public:
  /// throws ValueError for options outside their range or an empty dataset.
  ValLoader(std::shared_ptr<const Dataset> dataset, const ValLoaderOptions& options);
  ~ValLoader();
  ValLoader(const ValLoader&) = delete;
  ValLoader& operator=(const ValLoader&) = delete;

  int64_t num_batches() const;
  /// The different shapes [N,H,W,3] of batches, the largest first.
  std::vector<Shape> batch_shapes() const;
  /// Begins a pass over the dataset.
  void start() { start(0, num_batches()); }
  /// Begins a pass over batches [begin, end) only. throws ValueError unless 0 <= begin <= end <=
  /// num_batches().
  void start(int64_t begin, int64_t end);
  /// The next batch; false at the end, or before start(). Batches without a readable picture are
  /// skipped. throws FileError at the end of a pass over all batches if no picture was readable;
  /// OutOfMemoryError.
  bool next(Batch& batch);
  /// Throws that FileError, for processes that share a pass.
  [[noreturn]] static void refuse_unreadable(const std::vector<Finding>& left_out);
  double seconds_waited() const;
  std::vector<Finding> findings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ydistill
