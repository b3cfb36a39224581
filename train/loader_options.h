// SPDX-License-Identifier: MIT
// The loader's options from a config.
#pragma once

#include <memory>

#include <ydistill/data/loader.h>
#include <ydistill/train/config.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// All options except the stride and where decoded pictures are kept. pictures: null if samples are
/// made on the CPU.
TrainLoaderOptions loader_options(const Config& config,
                                  std::shared_ptr<const DevicePictures> pictures);

/// The same for validation. stride: the model's largest.
ValLoaderOptions val_loader_options(const ValConfig& config, int64_t stride, int workers);

/// The largest side of training batches, in pixels, including train.multi_scale.
int64_t largest_side(const Config& config, const GraphSpec& student);
/// The smallest of their longer sides.
int64_t smallest_side(const Config& config, const GraphSpec& student);

}  // namespace ydistill
