// SPDX-License-Identifier: MIT
// What each of several processes has for itself: its device and its threads.
#pragma once

#include <ydistill/tensor/compute.h>
#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>

namespace ydistill {

/// Sets the number of threads of parallel_for: that of the config, else what the environment
/// (OMP_NUM_THREADS) or the process's share of its machine allows.
void use_own_threads(const Config& config, const Exchange& exchange);

/// What the config's device and precision mean for this process: with "cuda", or "auto" if there is
/// a GPU, the nth process of a machine has its nth GPU. throws ConfigError, also if one GPU is
/// named for several processes.
Compute choose_own_compute(const Config& config, const Exchange& exchange);
/// The same for validation only: see choose_inference_compute.
Compute choose_own_inference_compute(const Config& config, const Exchange& exchange,
                                     bool calibrated);

}  // namespace ydistill
