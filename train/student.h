// SPDX-License-Identifier: MIT
// Opens the network that a config trains.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <ydistill/data/dataset.h>
#include <ydistill/train/config.h>
#include <ydistill/train/say.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/model.h>

namespace ydistill {

/// Checks that the weights, the teacher's too, and the graph that a training's config names exist.
/// throws FileError; ConfigError for an invalid graph.
void check_named_files(const Config& config);

/// The student: from weights, from a graph, or a graph filled with weights; its head is replaced if
/// the classes differ. Reports what was loaded and what was not. teacher: as for trained_model.
/// weights: those of model.weights, if already read. throws ConfigError, FileError.
std::unique_ptr<Model> make_student(const Config& config, const Dataset& dataset,
                                    const Compute& compute, const Say& say,
                                    const GraphSpec* teacher = nullptr,
                                    std::optional<Checkpoint> weights = {});

/// A model without weights. The layers that the config names are frozen; for the feature term of
/// its distillation, its features are projected to the teacher's channels. teacher: null for none.
/// throws ConfigError.
std::unique_ptr<Model> trained_model(const GraphSpec& spec, const Config& config,
                                     const Compute& compute, const GraphSpec* teacher);

/// The graph that a config names. throws ConfigError.
GraphSpec graph_of(const std::string& graph);

/// throws ConfigError naming the key, unless the network takes pictures with sides of this size.
void check_image_size(const char* key, int64_t size, const GraphSpec& network);

}  // namespace ydistill
