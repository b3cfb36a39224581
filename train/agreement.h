// SPDX-License-Identifier: MIT
// What processes that train together must have alike.
#pragma once

#include <filesystem>
#include <string>

#include <ydistill/data/dataset.h>
#include <ydistill/tensor/compute.h>
#include <ydistill/train/config.h>
#include <ydistill/train/exchange.h>
#include <ydistill/train/optimizer.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

/// All have the same config? throws ConfigError in the first process, naming the one that has
/// another; EndedTogether in the others.
void check_same_config(Exchange& exchange, const Config& config);

/// "auto" may mean another one on another processor: what one computes in bfloat16 and another in
/// float32 differs by more than last bits. throws ConfigError and EndedTogether, as above.
void check_same_precision(Exchange& exchange, Precision precision);

/// Each process reads the file on its own machine: the same bytes? throws FileError; ConfigError in
/// the first process, naming `key` and the process that has others; EndedTogether in the others.
void check_same_file(Exchange& exchange, const std::string& key, const std::filesystem::path& file);

/// The same of a student's graph: its layers, classes and anchors.
void check_same_graph(Exchange& exchange, const GraphSpec& graph);

/// Each process reads the files on its own machine: the same number of pictures, of the same sizes
/// and with the same labels, in the same order? throws ConfigError in the first process, naming the
/// config's key (`data.train`) and the process that has others; EndedTogether in the others.
void check_same_data(Exchange& exchange, const char* key, const Dataset& dataset);

/// Gives all processes the first one's parameters, statistics, optimizer state and average where
/// parameters or statistics differ: with different processors the last bits of a step do. Says
/// whether they did.
bool take_state_of_first(Exchange& exchange, ParameterStore& parameters, Optimizer& optimizer);

}  // namespace ydistill
