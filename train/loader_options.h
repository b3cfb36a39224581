// SPDX-License-Identifier: MIT
// What a config says to the training loader.
#pragma once

#include <memory>

#include <ydistill/data/loader.h>
#include <ydistill/train/config.h>

namespace ydistill {

/// All but the stride and where decoded pictures are kept. pictures: null where samples are made on
/// the CPU.
TrainLoaderOptions loader_options(const Config& config,
                                  std::shared_ptr<const DevicePictures> pictures);

}  // namespace ydistill
