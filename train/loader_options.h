// SPDX-License-Identifier: MIT
// What a config says to the training loader.
#pragma once

#include <memory>

#include <ydistill/data/loader.h>
#include <ydistill/train/config.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// All but the stride and where decoded pictures are kept. pictures: null where samples are made on
/// the CPU.
TrainLoaderOptions loader_options(const Config& config,
                                  std::shared_ptr<const DevicePictures> pictures);

/// The same of validation. stride: the largest of the model's.
ValLoaderOptions val_loader_options(const ValConfig& config, int64_t stride, int workers);

/// Of the training's batches, in pixels, train.multi_scale considered.
int64_t largest_side(const Config& config, const GraphSpec& student);

}  // namespace ydistill
