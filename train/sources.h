// SPDX-License-Identifier: MIT
// Opens what a config names: datasets, the student, the teacher, the losses.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/distill/class_match.h>
#include <ydistill/distill/teacher.h>
#include <ydistill/train/config.h>
#include <ydistill/train/step.h>

namespace ydistill {

using Say = std::function<void(const std::string&)>;
/// True: give up with StoppedError. Called by the calling thread, between pictures.
using Stop = std::function<bool()>;

/// Checks that the weights and the graph that a training's config names exist. throws FileError;
/// ConfigError for an invalid graph.
void check_named_files(const Config& config);

/// The classes of a training as far as its config tells before the data is read: by data.names or
/// the names of a data.yaml, data.merge and train.single_class. Empty: only the data tells. throws
/// FileError for a data.yaml that cannot be read.
std::vector<std::string> names_before_reading(const Config& config);

/// Findings that are reported one by one unless a caller wants more; the rest are counted.
inline constexpr int kMaxFindings = 20;

/// How the labels of a config's sources are read.
struct Reading {
  std::vector<std::string> names = {};  ///< given classes; empty: those of the data
  Classes classes = Classes::kAll;
  ClassMerges merge = {};                   ///< DataSource::merge
  std::filesystem::path cache_folder = {};  ///< DataSource::cache_folder
  Stop stop = {};
};
/// By data.names, data.merge, train.single_class and data.label_cache.
Reading reading_of(const Config& config);

/// The same for the validation pictures of a training on these. A data.yaml with the same names in
/// another order is read by name. throws ConfigError if one of the two sources has other names and
/// the other source does not have the same.
Reading validation_reading(const Config& config, const Dataset& training);

/// The same for the validation pictures of a model that knows the classes `names`. data.names has
/// priority over these; its classes and those of a data.yaml may be fewer. throws ConfigError if
/// they are others.
Reading model_reading(const Config& config, const std::vector<std::string>& names);

/// Reads the pictures and labels of a source. throws FileError; ConfigError if labels that name
/// their classes (VOC, COCO) were all dropped because none has one of the given names.
Dataset load_source(const DataSourceConfig& source, const Reading& reading);
/// throws ConfigError for training pictures without a single label, with the paths where labels
/// were looked for: nothing can be learnt from them.
void check_has_labels(const DataSourceConfig& source, const Dataset& training);
/// The pictures of data.unlabeled, all without labels. throws FileError.
Dataset load_unlabelled(const DataConfig& data, const Stop& stop = {});

/// load_source; says findings, at most `max_findings`, notes, a summary, and the class names found
/// where none were given, one line each that begins with the source's `key`: "data.val".
std::shared_ptr<const Dataset> open_dataset(const char* key, const DataSourceConfig& source,
                                            const Reading& reading, const Say& say,
                                            int max_findings = kMaxFindings);

/// The data of a training. The pictures to train on are those of data.train followed by those of
/// data.unlabeled; or the latter alone, whose classes are then those of the validation.
struct TrainingData {
  std::shared_ptr<const Dataset> train, val;
};
/// Reports findings, as open_dataset does, and missing labels where some are expected. throws
/// FileError; StoppedError; ConfigError for pictures from which nothing can be learnt.
TrainingData open_training_data(const Config& config, const Say& say,
                                int max_findings = kMaxFindings, const Stop& stop = {});

/// The student: from weights, from a graph, or a graph filled with weights; its head is replaced if
/// the classes differ. Reports what was loaded and what was not. teacher: as for trained_model.
/// weights: those of model.weights, if already read. throws ConfigError, FileError.
std::unique_ptr<Model> make_student(const Config& config, const Dataset& dataset,
                                    const Compute& compute, const Say& say,
                                    const GraphSpec* teacher = nullptr,
                                    std::optional<Checkpoint> weights = {});

/// The spec, or the same with anchors fitted to the data set's labels (train.autoanchor). Reports
/// the best possible recall of both.
GraphSpec with_fitting_anchors(GraphSpec spec, const Config& config, const Dataset& dataset,
                               const Say& say);

/// A model without weights. The layers that the config names are frozen; for the feature term of
/// its distillation, its features are projected to the teacher's channels. teacher: null for none.
/// throws ConfigError.
std::unique_ptr<Model> trained_model(const GraphSpec& spec, const Config& config,
                                     const Compute& compute, const GraphSpec* teacher);

/// The graph that a config names. throws ConfigError.
GraphSpec graph_of(const std::string& graph);

/// throws ConfigError naming the key, unless the network takes pictures with sides of this size.
void check_image_size(const char* key, int64_t size, const GraphSpec& network);

/// The device and precision of a config's teacher. student: those of the student. throws
/// ConfigError if 8 bits are wanted and not possible.
Compute teacher_compute(const Config& config, const Checkpoint& teacher, const Compute& student);

/// names: the student's classes. throws ConfigError if the teacher's do not match, or if it knows
/// too few of them for what the config asks.
ClassMatch match_teacher(const Config& config, const Checkpoint& teacher,
                         const std::vector<std::string>& names);

struct OpenedTeacher {
  std::unique_ptr<Teacher> teacher;
  ClassMatch classes;  ///< how the student's match the teacher's
};
/// A config's teacher, with the student's classes first. compute: of teacher_compute. names: the
/// student's classes. If the teacher's classes differ, reports which of them are the student's.
/// throws as match_teacher, check_teacher and Teacher.
OpenedTeacher open_teacher(const Config& config, const Checkpoint& teacher, const Compute& compute,
                           const GraphSpec& student, const std::vector<std::string>& names,
                           const Say& say);

/// The losses with their gains scaled by classes, scales and picture size; no feature loss if no
/// layer before the head is trained. teacher: null for none. classes: how the student's match the
/// teacher's.
StepLosses losses_of(const Config& config, const Model& student, const GraphSpec* teacher,
                     const ClassMatch& classes = {});

/// EvaluateOptions::found_as for a model of the classes `model` on data of the classes `data`:
/// matched by name, where the data's may be fewer; equally many with other names are taken as the
/// same. Empty if nothing changes. throws ConfigError if the model does not know them.
std::vector<int64_t> classes_of_data(const std::vector<std::string>& model,
                                     const std::vector<std::string>& data,
                                     const ClassMerges& merges);

}  // namespace ydistill
