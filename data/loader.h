// SPDX-License-Identifier: MIT
// Loaders: a dataset in batches, made ahead by threads.
//
// What a batch holds depends on the dataset, the options, the epoch and its place in the epoch
// alone; never on the number of threads or their timing.
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
  Tensor images;                  ///< uint8 [N, H, W, 3] RGB; undefined where only plans are made
  Tensor targets;                 ///< float32 [n, 6]: picture in the batch, class, cx, cy, w, h;
                                  ///< boxes as fractions of the input; ordered by picture
  std::vector<uint8_t> labelled;  ///< [N] Sample::labelled
  std::vector<int64_t> indices;   ///< [N] index into Dataset::samples
  std::vector<Letterbox> letterboxes;  ///< [N] in validation; empty in training
  std::vector<SamplePlan> plans;       ///< [N] for DevicePictures; empty where there are none
  int64_t number = 0;                  ///< in its epoch
};

/// Batches of a loader that exist at once: the one handed out and those made ahead.
inline constexpr int64_t kBatchesAlive = 4;

enum class Order {
  kShuffled,  ///< a new permutation every epoch (v6-v7)
  kFile,      ///< the dataset's order every epoch (v5.0)
};

enum class BatchForm {
  kRectangular,  ///< pictures sorted by height / width; each batch as flat or narrow as they allow
  kSquare,       ///< the loader's order, image_size x image_size
};

struct TrainLoaderOptions {
  int64_t image_size = 640;
  int64_t batch = 16;
  uint64_t seed = 0;
  int workers = 2;  ///< threads; 0: batches are made inside next()
  Order order = Order::kShuffled;
  /// Where some pictures are not labelled: their share of each batch, of at least one of either
  /// kind. An epoch passes over the labelled ones; the others come in an order of their own that
  /// goes on over the epochs, so that each is used equally often. 0 or less: mixed like all others.
  double unlabelled_share = 0;
  /// Rectangular: every epoch the same batches in the same order, without mosaics.
  BatchForm form = BatchForm::kSquare;
  /// The sides of batches vary from 1 - this to 1 + this times what they would be, in whole
  /// strides.
  double multi_scale = 0;
  int64_t stride = 32;
  AugmentOptions augment;
  /// Mosaics, and what hangs on them, are made in epochs below this.
  int64_t mosaic_epochs = std::numeric_limits<int64_t>::max();
  /// Decoded and resized pictures are kept in memory up to this many bytes.
  int64_t cache_bytes = 0;
  /// Where set, those beyond that are kept in a file in this folder, which goes with the loader.
  std::filesystem::path cache_folder;
  /// Where set, batches hold plans instead of images; pictures that are there already are not read.
  std::shared_ptr<const DevicePictures> device_pictures;
  /// So many batches of epoch 0 hold images besides their plans, to look at.
  int64_t rendered_batches = 0;
  /// One of several loaders of the same batches, for processes that train together: of each batch
  /// it hands out picture share, share + shares, share + 2 shares and so on; where a batch has not
  /// one for each, some of them twice.
  int64_t share = 0, shares = 1;
};

/// Augmented batches, square unless options.form says otherwise. The last batch of an epoch may be
/// smaller.
///
/// A picture that cannot be read is listed in findings() and replaced by the next readable one of
/// the dataset; only when none is readable does next() throw.
class TrainLoader {
 public:
  /// throws ValueError for options outside their range or an empty dataset.
  TrainLoader(std::shared_ptr<const Dataset> dataset, const TrainLoaderOptions& options);
  /// Stops the threads, also in the middle of an epoch.
  ~TrainLoader();
  TrainLoader(const TrainLoader&) = delete;
  TrainLoader& operator=(const TrainLoader&) = delete;

  int64_t batches_per_epoch() const;
  /// Share of an epoch's pictures that are not labelled.
  double unlabelled_share() const;
  /// From the next epoch on, labelled pictures come as often as their weights say, drawn with
  /// replacement and as many as there are; partners of mosaics are drawn from those. Empty: each
  /// once. weights: one a picture of the dataset. throws ValueError for another number of them, or
  /// one that is negative or not finite.
  void set_picture_weights(std::vector<double> weights);
  /// Begins an epoch; what was left of another is dropped. first_batch > 0 continues in the middle,
  /// with the batches an uninterrupted epoch would have from there.
  /// throws ValueError for a first_batch outside 0..batches_per_epoch().
  void start_epoch(int64_t epoch, int64_t first_batch = 0);
  /// The next batch; false at the end of the epoch or before the first. Its tensors are on the
  /// heap, whatever arena is open. throws FileError if no picture can be read, OutOfMemoryError.
  bool next(Batch& batch);
  /// How long next() has waited for data in this epoch.
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
  /// Rectangular batches are ceil(ratio * image_size / stride + this) strides a side: with YOLOv5's
  /// 0.5 a square picture at 640 px is laid into 672.
  double extra_strides = 0.5;
  int workers = 2;
  int64_t cache_bytes = 0;  ///< as in training
};

/// Batches for validation, without augmentation. Targets and letterboxes are in the same input
/// pixels; to_picture() takes both back.
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
  /// Over these batches [begin, end) alone. throws ValueError unless 0 <= begin <= end <=
  /// num_batches().
  void start(int64_t begin, int64_t end);
  /// The next batch; false at the end, or before start(). Batches without a readable picture are
  /// passed over. throws FileError at the end of a pass over all batches that could read no picture
  /// at all; OutOfMemoryError.
  bool next(Batch& batch);
  /// That FileError, for those who share a pass.
  [[noreturn]] static void refuse_unreadable(const std::vector<Finding>& left_out);
  double seconds_waited() const;
  std::vector<Finding> findings() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ydistill
