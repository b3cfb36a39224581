// SPDX-License-Identifier: MIT
// From the config to the things it names: datasets, the student, the teacher, the losses.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/config.h>
#include <ydistill/train/step.h>

namespace ydistill {

using Say = std::function<void(const std::string&)>;

enum class Classes {
  kAll,
  kSingle,  ///< all become one: the only one there is, or "object"
};
Classes classes_of(const TrainConfig& config);

/// Reads the pictures and labels of a source. throws FileError.
Dataset load_source(const DataSourceConfig& source, const std::vector<std::string>& names);
/// The pictures of data.unlabeled, none of them labelled. throws FileError.
Dataset load_unlabelled(const UnlabeledConfig& unlabeled);

/// The same; its findings are said, one line each, at most `max_findings`.
/// names: given classes; empty: what the data says, which is said too.
std::shared_ptr<const Dataset> open_dataset(const DataSourceConfig& source,
                                            const std::vector<std::string>& names, const Say& say,
                                            Classes classes = Classes::kAll, int max_findings = 20);

/// The labelled pictures and, behind them, the unlabelled ones.
std::shared_ptr<const Dataset> with_unlabelled(std::shared_ptr<const Dataset> labelled,
                                               const UnlabeledConfig& unlabeled, const Say& say,
                                               int max_findings = 20);

/// The student: from weights, from a graph, or a graph filled with weights; its head replaced where
/// the classes are others. Says what was loaded and what not. throws ConfigError, FileError.
std::unique_ptr<Model> make_student(const Config& config, const Dataset& dataset,
                                    const Compute& compute, const Say& say);

/// The spec, or the same with anchors fitted to the data set's labels (train.autoanchor). Says the
/// best possible recall of either.
GraphSpec with_fitting_anchors(GraphSpec spec, const Config& config, const Dataset& dataset,
                               const Say& say);

/// A model without weights, with the layers frozen that the config names. throws ConfigError.
std::unique_ptr<Model> trained_model(const GraphSpec& spec, const Config& config,
                                     const Compute& compute);

/// The graph that a config names. throws ConfigError.
GraphSpec graph_of(const std::string& graph);

/// The losses with their gains scaled by classes, scales and picture size.
StepLosses losses_of(const Config& config, const GraphSpec& student, const GraphSpec* teacher);

/// For val: the detector of a config's model, every weight required and as many classes as names.
/// throws ConfigError for a head of other classes.
std::unique_ptr<Model> make_validated_model(const Checkpoint& checkpoint,
                                            const std::vector<std::string>& names,
                                            const Compute& compute);

}  // namespace ydistill
