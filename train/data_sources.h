// SPDX-License-Identifier: MIT
// Opens the data sets that a config names.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/train/config.h>
#include <ydistill/train/say.h>

namespace ydistill {

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

/// EvaluateOptions::found_as for a model of the classes `model` on data of the classes `data`:
/// matched by name, where the data's may be fewer; equally many with other names are taken as the
/// same. Empty if nothing changes. throws ConfigError if the model does not know them.
std::vector<int64_t> classes_of_data(const std::vector<std::string>& model,
                                     const std::vector<std::string>& data,
                                     const ClassMerges& merges);

}  // namespace ydistill
