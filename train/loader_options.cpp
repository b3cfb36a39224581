// SPDX-License-Identifier: MIT
#include <ydistill/train/loader_options.h>

#include <algorithm>
#include <utility>

#include <ydistill/train/run_folder.h>

namespace ydistill {
namespace {

AugmentOptions augment_options(const AugmentConfig& c) {
  AugmentOptions options;
  options.hsv_h = c.hsv_h;
  options.hsv_s = c.hsv_s;
  options.hsv_v = c.hsv_v;
  options.degrees = c.degrees;
  options.translate = c.translate;
  options.scale = c.scale;
  options.shear = c.shear;
  options.perspective = c.perspective;
  options.flipud = c.flipud;
  options.fliplr = c.fliplr;
  options.mosaic = c.mosaic;
  options.mosaic9 = c.mosaic9;
  options.copy_paste = c.copy_paste;
  options.mixup = c.mixup;
  return options;
}

}  // namespace

TrainLoaderOptions loader_options(const Config& config,
                                  std::shared_ptr<const DevicePictures> pictures) {
  TrainLoaderOptions options;
  options.image_size = config.train.image_size;
  options.batch = config.train.batch;
  options.seed = uint64_t(config.train.seed);
  options.workers = int(config.train.workers);
  options.order = config.train.shuffle ? Order::kShuffled : Order::kFile;
  if (config.data.unlabeled && has_train_source(config)) {
    options.unlabelled_share = config.data.unlabeled->share;
  }
  options.form = config.train.rect ? BatchForm::kRectangular : BatchForm::kSquare;
  options.multi_scale = config.train.multi_scale;
  options.augment = augment_options(config.augment);
  options.mosaic_epochs = std::max<int64_t>(0, config.train.epochs - config.augment.close_mosaic);
  if (pictures) {  // each picture is read once; a copy in memory would be of no use
    options.device_pictures = std::move(pictures);
    options.rendered_batches = kDrawnBatches;
  }
  return options;
}

ValLoaderOptions val_loader_options(const ValConfig& config, int64_t stride, int workers) {
  ValLoaderOptions options;
  options.image_size = config.image_size;
  options.batch = config.batch;
  options.stride = stride;
  options.form = config.rect ? BatchForm::kRectangular : BatchForm::kSquare;
  options.workers = workers;
  return options;
}

int64_t largest_side(const Config& config, const GraphSpec& student) {
  const int64_t stride = student.training_stride();
  const double side = double(config.train.image_size) * (1 + config.train.multi_scale);
  return (int64_t(side) + stride - 1) / stride * stride;
}

int64_t smallest_side(const Config& config, const GraphSpec& student) {
  const int64_t stride = student.training_stride();
  const double side = double(config.train.image_size) * (1 - config.train.multi_scale);
  return std::max(int64_t(side) / stride * stride, stride);
}

}  // namespace ydistill
