// SPDX-License-Identifier: MIT
#include <ydistill/train/sources.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset_statistics.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/autoanchor.h>

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

/// Labels in pixels of the network's input; with a seed other than 0 each picture is scaled by 0.9
/// to 1.1.
std::vector<BoxSize> label_sizes(const Dataset& dataset, double image_size, uint64_t seed) {
  std::vector<BoxSize> sizes;
  Rng rng(seed);
  for (const Sample& sample : dataset.samples) {
    const double width = double(sample.width), height = double(sample.height);
    const double scale =
        image_size / std::max(width, height) * (seed == 0 ? 1 : rng.uniform(0.9, 1.1));
    for (const Label& label : sample.labels) {
      sizes.push_back({label.w * width * scale, label.h * height * scale});
    }
  }
  return sizes;
}

DistillKind kind_of(DistillConfig::Loss loss) {
  switch (loss) {
    case DistillConfig::Loss::kL2:
      return DistillKind::kL2;
    case DistillConfig::Loss::kKl:
      return DistillKind::kKl;
    case DistillConfig::Loss::kBce:
      return DistillKind::kBce;
  }
  throw ConfigError("distill.loss: unknown");
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
  const bool is_voc = source.kind() == DataSourceConfig::Kind::kVoc;
  throw ConfigError(
      "data.names: none of the {} labels of {} can be read with the classes {}; the first: {}; "
      "give the names in the order of the ids",
      dataset.labels_dropped, printable((is_voc ? source.voc : source.coco).string()),
      printable_list(reading.names), dataset.findings.front().str());
}

double feature_gain(const Config& config) {
  return config.distill.gain * config.distill.feature;
}

/// Whether a layer before the head is trained. Otherwise only projections would learn from
/// features, and would count in clip_norm.
bool learns_features(const Model& student) {
  const ParameterStore& store = student.parameters();
  const std::string head = fmt::format("model.{}.", student.spec().layers.size() - 1);
  for (int i = 0; i < store.num_parameters(); ++i) {
    if (!store.is_auxiliary(i) && store.group(i) != ParameterGroup::kFrozen &&
        !store.name(i).starts_with(head)) {
      return true;
    }
  }
  return false;
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

void check_named_files(const Config& config) {
  const auto check = [](const std::filesystem::path& file) {
    std::error_code error;
    if (!file.empty() && !std::filesystem::exists(file, error)) {
      throw FileError("{}: no such file", printable(file.string()));
    }
  };
  check(config.model.weights);
  if (config.teacher) check(config.teacher->weights);
  if (!config.model.graph.empty()) (void)graph_of(config.model.graph);
}

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

GraphSpec graph_of(const std::string& graph) {
  try {
    return is_graph_file(graph) ? graph_from_file(graph) : graph_by_name(graph);
  } catch (const ValueError& error) {
    throw ConfigError("model.graph: {}", error.what());
  }
}

std::unique_ptr<Model> trained_model(const GraphSpec& spec, const Config& config,
                                     const Compute& compute, const GraphSpec* teacher) {
  try {
    TrainedParts parts{config.train.freeze};
    // Scales that differ are refused later, when teacher and student are compared.
    if (teacher != nullptr && feature_gain(config) > 0 &&
        teacher->anchors.strides == spec.anchors.strides) {
      parts.feature_channels = teacher->detect().in_channels;
    }
    auto model = std::make_unique<Model>(spec, compute, parts);
    if (config.train.recompute) model->set_tape_keeps(TapeKeeps::kLeast);
    return model;
  } catch (const ValueError& error) {
    throw ConfigError("train.freeze: {}", error.what());
  }
}

GraphSpec with_fitting_anchors(GraphSpec spec, const Config& config, const Dataset& dataset,
                               const Say& say) {
  constexpr double kEnough = 0.98;
  using Mode = TrainConfig::Autoanchor;
  const Mode mode = config.train.autoanchor;
  const std::vector<BoxSize> sizes = label_sizes(dataset, double(config.train.image_size), 0);
  if (mode == Mode::kOff || sizes.empty()) return spec;
  const double anchor_t = config.loss.anchor_t;
  // Sizes as after the augmentation, up to a tenth larger or smaller.
  const std::vector<BoxSize> scaled =
      label_sizes(dataset, double(config.train.image_size), uint64_t(config.train.seed) + 1);
  const AnchorFit own = fit_of(spec.anchors, scaled, anchor_t);
  const std::string recall = fmt::format("best possible recall {:.4f}", own.recall);
  const bool stand_in = spec.anchors_are_counted;
  if (mode == Mode::kAuto && !stand_in && (own.recall > kEnough || config.teacher)) {
    say(fmt::format("anchors: {}{}", recall,
                    own.recall > kEnough
                        ? ""
                        : "; the teacher's are kept (train.autoanchor always would fit new ones)"));
    return spec;
  }
  Anchors fitted;
  try {
    fitted = fitted_anchors(spec.anchors, sizes, {anchor_t, 1000, uint64_t(config.train.seed)});
  } catch (const ValueError& error) {
    say(fmt::format("anchors: {}; kept ({})", recall, error.what()));
    return spec;
  }
  const AnchorFit reached = fit_of(fitted, scaled, anchor_t);
  const bool is_better = mode == Mode::kAlways || stand_in ? reached.fitness > own.fitness
                                                           : reached.recall > own.recall;
  say(fmt::format("anchors: {}; fitted anchors reach {:.4f} and are {}", recall, reached.recall,
                  is_better ? "used" : "not better: the old ones are kept"));
  return is_better ? spec.with_anchors(fitted) : spec;
}

namespace {

/// Without labels to fit anchors to, a student from scratch takes the teacher's anchors: then equal
/// logits mean equal boxes.
GraphSpec with_anchors_of_teacher(GraphSpec spec, const Config& config, const GraphSpec* teacher,
                                  const Say& say) {
  if (teacher == nullptr || config.train.autoanchor == TrainConfig::Autoanchor::kOff) return spec;
  const Anchors &own = spec.anchors, &theirs = teacher->anchors;
  // Different strides or numbers of anchors are refused when student and teacher are compared.
  if (own.strides != theirs.strides || own.per_head() != theirs.per_head()) return spec;
  if (same_anchors(own, theirs)) return spec;
  say("anchors: the teacher's are taken");
  return spec.with_anchors(theirs);
}

/// For each class of a head, the class of its weights that it continues: by name (of several merged
/// classes the first). If none is merged, some match and both have equally many, one with a new
/// name takes the class at its own index, unless that is taken.
std::vector<int64_t> kept_classes(const std::vector<std::string>& names,
                                  const std::vector<std::string>& before,
                                  const ClassMerges& merges) {
  const MergedNames merged = merged_names(before, merges);
  std::vector<int64_t> classes = classes_by_name(names, merged.names);
  for (int64_t& c : classes) {
    if (c == kNoClass) continue;
    c = std::find(merged.id_of.begin(), merged.id_of.end(), c) - merged.id_of.begin();
  }
  const bool by_name =
      std::any_of(classes.begin(), classes.end(), [](int64_t c) { return c >= 0; });
  const bool may_be_by_place = by_name && merged.names == before && names.size() == before.size();
  for (size_t c = 0; may_be_by_place && c < classes.size(); ++c) {
    const bool taken = std::find(classes.begin(), classes.end(), int64_t(c)) != classes.end();
    if (classes[c] == kNoClass && !taken) classes[c] = int64_t(c);
  }
  return classes;
}

/// The weights, with the head's rows of the classes that it keeps; rows of other classes are the
/// student's. Nothing if no class is known, the classes are the same, or the head reads other
/// channels.
std::optional<Checkpoint> with_known_classes(const Checkpoint& weights, const Model& student,
                                             const std::vector<std::string>& names,
                                             const ClassMerges& merges, const Say& say) {
  // The logit of a single class is never trained: it starts, and stays, near certainty.
  if (weights.class_names.size() == 1 && names.size() > 1) return {};
  const GraphSpec &from = weights.spec, &to = student.spec();
  const bool alike = from.layers.size() == to.layers.size() &&
                     from.anchors_per_head() == to.anchors_per_head() &&
                     from.detect().in_channels == to.detect().in_channels;
  if (weights.class_names == names || !alike) return {};
  std::vector<int64_t> classes = kept_classes(names, weights.class_names, merges);
  std::vector<std::string> kept, added;
  for (size_t c = 0; c < names.size(); ++c) {
    if (classes[c] == kNoClass) {
      added.push_back(names[c]);
      continue;
    }
    const std::string& before = weights.class_names[size_t(classes[c])];
    kept.push_back(before == names[c] ? before : fmt::format("{} ({})", names[c], before));
  }
  if (kept.empty()) return {};
  if (names.size() == 1) {
    classes[0] = kNoClass;
    say(
        fmt::format("model: of the {} classes of its weights only {} is left; the head keeps its "
                    "boxes and objectness",
                    weights.class_names.size(), printable_list(kept)));
  } else {
    say(fmt::format("model: of the {} classes of its weights the head keeps {}: {}{}",
                    weights.class_names.size(), kept.size(), printable_list(kept),
                    added.empty() ? "" : "; new are " + printable_list(added)));
  }
  return select_classes(weights, classes, names, export_weights(student));
}

}  // namespace

std::unique_ptr<Model> make_student(const Config& config, const Dataset& dataset,
                                    const Compute& compute, const Say& say,
                                    const GraphSpec* teacher, std::optional<Checkpoint> weights) {
  const std::vector<std::string>& names = dataset.names;
  const int64_t classes = int64_t(names.size());
  const bool has_weights = !config.model.weights.empty();
  Checkpoint checkpoint;
  if (weights) {
    checkpoint = std::move(*weights);
  } else if (has_weights) {
    checkpoint = load_checkpoint(config.model.weights, PtWeights::kModel);
  }
  GraphSpec spec = config.model.graph.empty() ? checkpoint.spec : graph_of(config.model.graph);
  if (has_weights && !config.model.graph.empty() && spec.name != checkpoint.spec.name) {
    say(fmt::format("model: weights of {} go into the graph {}", checkpoint.spec.name, spec.name));
  }
  const int64_t classes_before = spec.num_classes;
  if (spec.num_classes != classes) spec = spec.with_classes(classes);
  if (trains_without_labels(config) && !has_weights) {
    spec = with_anchors_of_teacher(std::move(spec), config, teacher, say);
  }
  spec = with_fitting_anchors(std::move(spec), config, dataset, say);
  auto model = trained_model(spec, config, compute, teacher);
  model->initialise(uint64_t(config.train.seed));
  if (has_weights) {
    std::optional<Checkpoint> known;
    if (config.model.keep_classes) {
      known = with_known_classes(checkpoint, *model, names, config.data.merge, say);
    }
    if (known) {
      checkpoint = std::move(*known);
    } else if (classes_before != classes) {
      say(fmt::format("model: the head for {} classes is replaced by one for {}", classes_before,
                      classes));
    }
    const LoadReport report = load_weights(*model, checkpoint.tensors);
    say(fmt::format("model: {}, {} of {} tensors from {}", spec.name, report.loaded, report.total,
                    config.model.weights.string()));
    if (report.mismatched.empty() && checkpoint.class_names != names) {
      say(fmt::format("model: class names change from {} to {}",
                      fmt::join(checkpoint.class_names, ", "), fmt::join(names, ", ")));
    }
  } else {
    say(fmt::format("model: {} from scratch, seed {}", spec.name, config.train.seed));
  }
  return model;
}

void check_image_size(const char* key, int64_t size, const GraphSpec& network) {
  const int64_t stride = network.max_stride();
  if (size % stride == 0) return;
  throw ConfigError("{}: must be a multiple of {} for this network, got {}", key, stride, size);
}

Compute teacher_compute(const Config& config, const Checkpoint& teacher, const Compute& student) {
  if (config.teacher->precision == TeacherConfig::Precision::kSame) return student;
  if (student.device.is_cuda()) {
    throw ConfigError(
        "teacher.precision: \"int8\" runs only on the CPU, but the student trains on {}; use "
        "\"same\"",
        student.device.str());
  }
  if (teacher.calibration.empty()) {
    throw ConfigError(
        "teacher.precision: \"int8\" needs calibrated weights, as `ydistill quantize` writes them; "
        "{} is not",
        printable(config.teacher->weights.string()));
  }
  if (feature_gain(config) > 0) {
    throw ConfigError(
        "teacher.precision: \"int8\" has no features to learn from; use distill.feature=0 or "
        "teacher.precision=same");
  }
  return {Device::cpu(), Precision::kInt8};
}

namespace {

/// Refuses a teacher that lacks student classes which the training needs. throws ConfigError.
void check_what_is_known(const Config& config, const ClassMatch& classes,
                         const std::vector<std::string>& names) {
  if (!classes.has_unknown()) return;
  const bool compares_classes = config.distill.gain * config.distill.cls > 0;
  if (trains_without_labels(config)) {
    std::vector<std::string> unknown;
    for (size_t c = 0; c < names.size(); ++c) {
      if (classes.made_of[c].empty()) unknown.push_back(names[c]);
    }
    throw ConfigError(
        "teacher.classes: the teacher does not know {}, and without data.train nothing would teach "
        "it; leave it out of data.names or give labels",
        printable_list(unknown));
  }
  const bool is_kl = config.distill.loss == DistillConfig::Loss::kKl;
  if (compares_classes && is_kl && classes.known().size() == 1) {
    throw ConfigError(
        "distill.loss: kl compares classes with each other, and the teacher knows only one of the "
        "student's; use l2 or bce");
  }
  const bool is_l2 = config.distill.loss == DistillConfig::Loss::kL2;
  if (compares_classes && is_l2 && classes.teacher_classes == 1) {
    throw ConfigError(
        "distill.loss: l2 learns class logits, and a teacher with a single class never trained its "
        "own; use bce or distill.cls=0");
  }
}

}  // namespace

ClassMatch match_teacher(const Config& config, const Checkpoint& teacher,
                         const std::vector<std::string>& names) {
  ClassMatch classes =
      match_classes(names, teacher.class_names, config.teacher->classes, config.data.merge);
  check_what_is_known(config, classes, names);
  return classes;
}

OpenedTeacher open_teacher(const Config& config, const Checkpoint& teacher, const Compute& compute,
                           const GraphSpec& student, const std::vector<std::string>& names,
                           const Say& say) {
  OpenedTeacher opened;
  opened.classes = match_teacher(config, teacher, names);
  check_teacher(student, teacher.spec);
  if (opened.classes.is_identity()) {
    opened.teacher = std::make_unique<Teacher>(teacher, compute);
    return opened;
  }
  say("teacher: " + describe(opened.classes, names, teacher.class_names));
  opened.teacher = std::make_unique<Teacher>(
      with_student_classes_first(teacher, opened.classes, names), compute, opened.classes.sizes());
  return opened;
}

StepLosses losses_of(const Config& config, const Model& model, const GraphSpec* teacher,
                     const ClassMatch& classes) {
  const GraphSpec& student = model.spec();
  const int64_t heads = student.anchors.num_heads(), size = config.train.image_size;
  StepLosses losses;
  losses.student_anchors = student.anchors;
  losses.detection.emplace();
  losses.detection->gains = scaled_gains({config.loss.box, config.loss.obj, config.loss.cls},
                                         student.num_classes, heads, size);
  losses.detection->anchor_t = config.loss.anchor_t;
  losses.detection->cls_pw = config.loss.cls_pw;
  losses.detection->obj_pw = config.loss.obj_pw;
  losses.detection->label_smoothing = config.loss.label_smoothing;
  losses.detection->fl_gamma = config.loss.fl_gamma;
  if (teacher != nullptr) {
    losses.teacher_anchors = teacher->anchors;
    losses.distill.emplace();
    losses.distill->kind = kind_of(config.distill.loss);
    losses.distill->objectness = config.distill.objectness == DistillConfig::Objectness::kBce
                                     ? DistillObjectness::kBce
                                     : DistillObjectness::kL2;
    losses.distill->mean = config.distill.mean == DistillConfig::Mean::kObjects
                               ? DistillMean::kObjects
                               : DistillMean::kBoxes;
    losses.distill->fm_nms = config.distill.fm_nms;
    if (classes.has_unknown()) losses.distill->known_classes = classes.known();
    losses.distill->temperature = config.distill.temperature;
    losses.distill->gains = scaled_distill_gains(
        config.distill.gain, {config.distill.box, config.distill.obj, config.distill.cls},
        student.num_classes, heads, size);
    losses.feature_gain = learns_features(model) ? feature_gain(config) : 0;
  }
  return losses;
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
