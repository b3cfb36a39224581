// SPDX-License-Identifier: MIT
// What processes that train together must have alike.
#pragma once

#include <ydistill/data/dataset.h>
#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// All have the same config? throws ConfigError in the first process, naming the one that has
/// another; EndedTogether in the others.
void check_same_config(Exchange& exchange, const Config& config);

/// Each process reads the files on its own machine: the same number of pictures, of the same sizes
/// and with the same labels, in the same order? throws ConfigError in the first process, naming the
/// config's key (`data.train`) and the process that has others; EndedTogether in the others.
void check_same_data(Exchange& exchange, const char* key, const Dataset& dataset);

/// The same weights, read from the key's file? throws alike.
void check_same_weights(Exchange& exchange, const char* key, const Checkpoint& checkpoint);

/// Gives all processes the first one's parameters, statistics, optimizer state and average where
/// parameters or statistics differ: with different processors the last bits of a step do. Says
/// whether they did.
bool take_state_of_first(Exchange& exchange, ParameterStore& parameters, Optimizer& optimizer);

}  // namespace ydistill
