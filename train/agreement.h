// SPDX-License-Identifier: MIT
// Checks of what processes that train together must have in common.
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

/// Checks that all have the same config. throws ConfigError in the first process, naming the one
/// whose config differs; EndedTogether in the others.
void check_same_config(Exchange& exchange, const Config& config);

/// "auto" may mean different precisions on different processors, and results in bfloat16 and in
/// float32 differ by more than the last bits. throws ConfigError and EndedTogether, as above.
void check_same_precision(Exchange& exchange, Precision precision);

/// Each process reads the file on its own machine; checks that the bytes are the same. throws
/// FileError; ConfigError in the first process, naming `key` and the process that differs;
/// EndedTogether in the others.
void check_same_file(Exchange& exchange, const std::string& key, const std::filesystem::path& file);

/// The same for a student's graph: its layers, classes and anchors.
void check_same_graph(Exchange& exchange, const GraphSpec& graph);

/// Each process reads the files on its own machine; checks for the same number of pictures, with
/// the same sizes and labels, in the same order. throws ConfigError in the first process, naming
/// the config's key (`data.train`) and the process that differs; EndedTogether in the others.
void check_same_data(Exchange& exchange, const char* key, const Dataset& dataset);

/// Gives all processes the parameters, statistics, optimizer state and average of the first one if
/// parameters or statistics differ: on different processors a step differs in the last bits.
/// Returns whether they differed.
bool take_state_of_first(Exchange& exchange, ParameterStore& parameters, Optimizer& optimizer);

}  // namespace ydistill
