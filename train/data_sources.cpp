// SPDX-License-Identifier: MIT
#include <ydistill/train/data_sources.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>

#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset_statistics.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

DataSource data_source(const DataSourceConfig& source) {
  switch (source.kind()) {
    case DataSourceConfig::Kind::kYolo:
      return {DataSource::Kind::kYolo, source.yolo, {}, {}, {}};
    case DataSourceConfig::Kind::kVoc:
      return {DataSource::Kind::kVoc, source.voc, source.split, {}, {}};
    case DataSourceConfig::Kind::kCoco:
      return {DataSource::Kind::kCoco, source.coco, {}, source.images, {}};
    case DataSourceConfig::Kind::kYaml:
      return {DataSource::Kind::kYaml, source.yaml, source.split, {}, {}};
  }
  throw ConfigError("data: unknown kind of source");
}

void say_findings(const char* key, const std::vector<Finding>& findings, const Say& say, int most) {
  int said = 0;
  for (const Finding& finding : findings) {
    if (said++ < most) say(fmt::format("{}: {}", key, finding.str()));
  }
  if (said > most) say(fmt::format("{}: ... and {} more findings", key, said - most));
}

std::filesystem::path cache_folder_of(const DataConfig& data) {
  return data.label_cache ? default_cache_folder() : std::filesystem::path();
}

/// A source, and the names by which its labels are read.
struct NamedSource {
  std::string what;                ///< "data.val: b.yaml"
  std::vector<std::string> names;  ///< in its data.yaml, merged; empty for other sources
  size_t before_merge = 0;         ///< number of these before the merge
  /// Whether labels get their class by its name; otherwise by the id only.
  bool is_by_name = false;

  /// given: the names come from the user, who may want only some of a data.yaml's classes.
  NamedSource(const char* key, const DataSourceConfig& source, const ClassMerges& merge,
              const std::vector<std::string>& wanted, bool given)
      : is_by_name(source.kind() == DataSourceConfig::Kind::kVoc ||
                   source.kind() == DataSourceConfig::Kind::kCoco) {
    if (source.kind() != DataSourceConfig::Kind::kYaml) return;
    what = fmt::format("{}: {}", key, printable(source.yaml.string()));
    names = read_data_yaml(source.yaml, source.split).names;
    before_merge = names.size();
    names = merged_names(names, merge).names;
    is_by_name = are_among(wanted, names) && (given || wanted.size() == names.size());
  }
  /// Labels are read by ids, which stand for the source's own names.
  bool has_other_names() const { return !names.empty() && !is_by_name; }
  bool has_ids_alone() const { return names.empty() && !is_by_name; }
};

/// Refuses a data.yaml of which only the `wanted` classes, those of data.names, are taken by name
/// if the other source has only ids: these hardly refer to just those few classes.
void check_ids_have_names(const NamedSource& named, const char* other_key, const NamedSource& other,
                          size_t wanted) {
  if (!named.is_by_name || named.before_merge <= wanted || !other.has_ids_alone()) return;
  throw ConfigError(
      "data.names: {} of the {} classes of {}, while {} has ids without names; name it by a "
      "data.yaml too, as {{\"yaml\": FILE, \"split\": ...}}",
      wanted, named.before_merge, named.what, other_key);
}

/// Refuses labels that name their classes if none of them is one of the wanted classes: for example
/// those of a folder of pictures, which has only ids and is read as class0, class1, ...
void check_some_labels_kept(const DataSourceConfig& source, const Reading& reading,
                            const Dataset& dataset) {
  const bool is_by_name = source.kind() == DataSourceConfig::Kind::kVoc ||
                          source.kind() == DataSourceConfig::Kind::kCoco;
  if (!is_by_name || reading.names.empty() || reading.classes == Classes::kSingle) return;
  if (dataset.labels_dropped == 0 || dataset.num_labels() > 0 || dataset.findings.empty()) return;
  const auto other =
      std::find_if(dataset.findings.begin(), dataset.findings.end(), [](const Finding& finding) {
        return finding.reason.find("not among the names") != std::string::npos;
      });
  if (other == dataset.findings.end()) return;  // the boxes are at fault
  const bool is_voc = source.kind() == DataSourceConfig::Kind::kVoc;
  throw ConfigError(
      "data.names: none of the {} labels of {} can be read with the classes {}; the first: {}; "
      "give the names in the order of the ids",
      dataset.labels_dropped, printable((is_voc ? source.voc : source.coco).string()),
      printable_list(reading.names), other->str());
}

/// The labelled pictures followed by the unlabelled ones of data.unlabeled.
std::shared_ptr<const Dataset> with_unlabelled(std::shared_ptr<const Dataset> labelled,
                                               const DataConfig& data, const Say& say,
                                               int max_findings, const Stop& stop) {
  Dataset pictures = load_unlabelled(data, stop);
  say("data.unlabeled: " + pictures.summary());
  auto both = std::make_shared<Dataset>(*labelled);
  both->findings.clear();  // reported before
  add_unlabelled(*both, std::move(pictures));
  say_findings("data.unlabeled", both->findings, say, max_findings);
  both->findings.insert(both->findings.begin(), labelled->findings.begin(),
                        labelled->findings.end());
  if (both->num_unlabelled() == 0) {
    throw ConfigError(
        "data.unlabeled.pictures: {}: every picture is among the training pictures already",
        data.unlabeled->pictures.string());
  }
  return both;
}

}  // namespace

std::vector<std::string> names_before_reading(const Config& config) {
  std::vector<std::string> names = config.data.names;
  const DataSourceConfig source =
      trains_without_labels(config) ? val_source(config) : train_source(config);
  if (names.empty() && source.kind() == DataSourceConfig::Kind::kYaml) {
    names = read_data_yaml(source.yaml, source.split).names;
  }
  names = merged_names(names, config.data.merge).names;
  if (config.train.single_class && names.size() > 1) return {"object"};
  return names;
}

Reading reading_of(const Config& config) {
  return {config.data.names,
          config.train.single_class ? Classes::kSingle : Classes::kAll,
          config.data.merge,
          cache_folder_of(config.data),
          {}};
}

Reading validation_reading(const Config& config, const Dataset& training) {
  const std::vector<std::string>& names = training.names;
  Reading reading = reading_of(config);
  // If all become one class, validation reads its labels by names of its own.
  if (reading.classes == Classes::kSingle) return reading;
  if (reading.names.empty()) {
    // Ids count the classes as they are before the merge.
    const bool has_ids = val_source(config).kind() == DataSourceConfig::Kind::kYolo;
    const bool by_those_before = has_ids && !training.names_before_merge.empty();
    reading.names = by_those_before ? training.names_before_merge : names;
  }
  const bool given = !config.data.names.empty();
  const NamedSource train("data.train", train_source(config), reading.merge, names, given);
  const NamedSource val("data.val", val_source(config), reading.merge, names, given);
  if (given) {
    check_ids_have_names(train, "data.val", val, config.data.names.size());
    check_ids_have_names(val, "data.train", train, config.data.names.size());
  }
  const bool both = train.has_other_names() && val.has_other_names();
  if (both ? train.names == val.names : !train.has_other_names() && !val.has_other_names()) {
    return reading;
  }
  const NamedSource& other = val.has_other_names() ? val : train;
  const NamedSource& beside = val.has_other_names() ? train : val;
  // A folder of pictures has only ids: they have the meaning given by the other source.
  if (!both && beside.has_ids_alone()) return reading;
  throw ConfigError(
      "{} has the classes {}, but those of {} are {}; expected the same names, in any order",
      other.what, printable_list(other.names), &other == &val ? "data.train" : "data.val",
      printable_list(both ? beside.names : names));
}

namespace {

/// For validation pictures with ids only, if classes are merged: the classes to which the ids
/// refer. model: the classes of the model; merged: those after the merge.
std::vector<std::string> names_of_ids(const Config& config, const std::vector<std::string>& model,
                                      const std::vector<std::string>& merged) {
  if (merged != model) return model;  // the model knows the classes as they are before
  if (has_train_source(config)) {
    const DataSourceConfig train = train_source(config);
    if (train.kind() == DataSourceConfig::Kind::kYaml) {
      return read_data_yaml(train.yaml, train.split).names;
    }
  }
  throw ConfigError(
      "data.val: {}: its labels have only ids, but merging classes needs names (data.names)",
      printable(val_source(config).yolo.string()));
}

}  // namespace

Reading model_reading(const Config& config, const std::vector<std::string>& names) {
  Reading reading = reading_of(config);
  if (reading.classes == Classes::kSingle) return reading;
  if (!reading.names.empty()) {
    // before any data is read
    const MergedNames wanted = merged_names(reading.names, reading.merge);
    (void)classes_of_data(names, wanted.names, reading.merge);
    return reading;
  }
  const std::vector<std::string> merged = merged_names(names, reading.merge).names;
  const NamedSource val("data.val", val_source(config), reading.merge, merged, /*given=*/false);
  reading.names = merged;
  if (!reading.merge.empty() && val.has_ids_alone()) {
    reading.names = names_of_ids(config, names, merged);
    return reading;
  }
  if (!val.has_other_names() || val.names.size() == merged.size()) return reading;
  if (!are_among(val.names, merged)) {
    throw ConfigError("{} has the classes {}, but those of the model are {}", val.what,
                      printable_list(val.names), printable_list(merged));
  }
  reading.names = val.names;
  return reading;
}

Dataset load_source(const DataSourceConfig& source, const Reading& reading) {
  DataSource opened = data_source(source);
  opened.cache_folder = reading.cache_folder;
  opened.classes = reading.classes;
  opened.merge = reading.merge;
  opened.stop = reading.stop;
  Dataset dataset = load_dataset(opened, reading.names);
  check_some_labels_kept(source, reading, dataset);
  return dataset;
}

void check_has_labels(const DataSourceConfig& source, const Dataset& training) {
  if (training.num_labels() > 0) return;
  const auto kind = source.kind();
  const bool is_yolo =
      kind == DataSourceConfig::Kind::kYolo || kind == DataSourceConfig::Kind::kYaml;
  throw ConfigError(
      "data.train: none of its {} pictures has a label{}{}", training.samples.size(),
      training.labels_dropped > 0 ? fmt::format(", {} were dropped", training.labels_dropped) : "",
      is_yolo ? "; those of a/images/b.jpg are looked for in a/labels/b.txt and a/images/b.txt"
              : "");
}

Dataset load_unlabelled(const DataConfig& data, const Stop& stop) {
  DataSource source;
  source.kind = DataSource::Kind::kPictures;
  source.path = data.unlabeled->pictures;
  source.cache_folder = cache_folder_of(data);
  source.stop = stop;
  return load_dataset(source);
}

std::shared_ptr<const Dataset> open_dataset(const char* key, const DataSourceConfig& source,
                                            const Reading& reading, const Say& say,
                                            int max_findings) {
  auto dataset = std::make_shared<const Dataset>(load_source(source, reading));
  for (const std::string& note : dataset->notes) say(fmt::format("{}: {}", key, note));
  say_findings(key, dataset->findings, say, max_findings);
  say(fmt::format("{}: {}", key, dataset->summary()));
  if (reading.names.empty()) {
    say(fmt::format("{}: class names found: {}", key, fmt::join(dataset->names, ", ")));
  }
  return dataset;
}

namespace {

/// A name that is misspelt is a class without labels.
void say_classes_without_labels(const Dataset& training, const Say& say) {
  const std::vector<DatasetStatistics::Class> classes = statistics_of(training).classes;
  std::vector<std::string> missing;
  for (const DatasetStatistics::Class& c : classes) {
    if (c.labels == 0) missing.push_back(c.name);
  }
  if (missing.empty() || missing.size() == classes.size()) return;
  say(fmt::format("data.train: {} of {} classes have no label: {}", missing.size(), classes.size(),
                  printable_list(missing)));
}

}  // namespace

TrainingData open_training_data(const Config& config, const Say& say, int max_findings,
                                const Stop& stop) {
  TrainingData data;
  const auto open = [&](const char* key, const DataSourceConfig& source, Reading reading) {
    reading.stop = stop;
    return open_dataset(key, source, reading, say, max_findings);
  };
  const auto open_val = [&](const Reading& reading) {
    data.val = open("data.val", val_source(config), reading);
    if (data.val->num_labels() == 0) {
      say("data.val: none of its pictures has a label: all metrics of the validation will be 0");
    }
  };
  if (trains_without_labels(config)) {
    open_val(reading_of(config));
    if (data.val->names.empty()) {
      throw ConfigError("data.val: has no labels, so the classes are unknown; give data.names");
    }
    auto named = std::make_shared<Dataset>();
    named->names = data.val->names;
    data.train = std::move(named);
    say("data.train: not given; the student learns only from the teacher");
  } else {
    data.train = open("data.train", train_source(config), reading_of(config));
    say_classes_without_labels(*data.train, say);
    if (!config.teacher) {
      check_has_labels(train_source(config), *data.train);
    } else if (data.train->num_labels() == 0) {
      say("data.train: none of its pictures has a label: the detection loss takes them for "
          "pictures without objects; unlabelled pictures belong in data.unlabeled");
    }
    open_val(validation_reading(config, *data.train));
  }
  if (config.data.unlabeled) {
    data.train = with_unlabelled(data.train, config.data, say, max_findings, stop);
  }
  return data;
}

std::vector<int64_t> classes_of_data(const std::vector<std::string>& model,
                                     const std::vector<std::string>& data,
                                     const ClassMerges& merges) {
  const MergedNames merged = merged_names(model, merges);
  const bool by_name = merged.names != data && !data.empty() && are_among(data, merged.names);
  if (!by_name && merged.names.size() != data.size()) {
    std::vector<std::string> unknown;
    for (const std::string& name : data) {
      if (!are_among({name}, merged.names)) unknown.push_back(name);
    }
    const bool some_are_known = unknown.size() < data.size();
    throw ConfigError(
        "model: its head knows {} classes, the data has {}{}", merged.names.size(), data.size(),
        some_are_known ? fmt::format("; it does not know {}", printable_list(unknown)) : "");
  }
  if (!by_name && data.size() == model.size()) return {};
  std::vector<int64_t> result;
  for (const int64_t id : merged.id_of) {
    const auto at = std::find(data.begin(), data.end(), merged.names[size_t(id)]);
    result.push_back(by_name ? at - data.begin() : id);
  }
  return result;
}

}  // namespace ydistill
