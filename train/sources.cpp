// SPDX-License-Identifier: MIT
#include <ydistill/train/sources.h>

#include <fmt/ranges.h>

#include <algorithm>

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

void say_findings(const std::vector<Finding>& findings, const Say& say, int most) {
  int said = 0;
  for (const Finding& finding : findings) {
    if (said++ < most) say("data: " + finding.str());
  }
  if (said > most) say(fmt::format("data: ... and {} more findings", said - most));
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

constexpr const char* kSingleName = "object";

void merge_classes(Dataset& dataset) {
  dataset.names = {kSingleName};
  for (Sample& sample : dataset.samples) {
    for (Label& label : sample.labels) label.class_id = 0;
  }
}

}  // namespace

Dataset load_source(const DataSourceConfig& source, const std::vector<std::string>& names) {
  DataSource opened = data_source(source);
  opened.cache_folder = default_cache_folder();
  return load_dataset(opened, names);
}

Dataset load_unlabelled(const UnlabeledConfig& unlabeled) {
  DataSource source;
  source.kind = DataSource::Kind::kPictures;
  source.path = unlabeled.pictures;
  source.cache_folder = default_cache_folder();
  return load_dataset(source);
}

std::shared_ptr<const Dataset> open_dataset(const DataSourceConfig& source,
                                            const std::vector<std::string>& names, const Say& say,
                                            Classes classes, int max_findings) {
  auto dataset = std::make_shared<Dataset>(load_source(source, names));
  for (const std::string& note : dataset->notes) say("data: " + note);
  say_findings(dataset->findings, say, max_findings);
  say("data: " + dataset->summary());
  if (names.empty())
    say(fmt::format("data: class names found: {}", fmt::join(dataset->names, ", ")));
  if (classes == Classes::kSingle && dataset->names.size() > 1) {
    say(fmt::format("data: {} classes become one, \"{}\"", dataset->names.size(), kSingleName));
    merge_classes(*dataset);
  }
  return dataset;
}

Classes classes_of(const TrainConfig& config) {
  return config.single_class ? Classes::kSingle : Classes::kAll;
}

std::shared_ptr<const Dataset> with_unlabelled(std::shared_ptr<const Dataset> labelled,
                                               const UnlabeledConfig& unlabeled, const Say& say,
                                               int max_findings) {
  Dataset pictures = load_unlabelled(unlabeled);
  say("data.unlabeled: " + pictures.summary());
  auto both = std::make_shared<Dataset>(*labelled);
  both->findings.clear();  // said before
  add_unlabelled(*both, std::move(pictures));
  say_findings(both->findings, say, max_findings);
  both->findings.insert(both->findings.begin(), labelled->findings.begin(),
                        labelled->findings.end());
  if (both->num_unlabelled() == 0) {
    throw ConfigError(
        "data.unlabeled.pictures: {}: every picture is among the training pictures already",
        unlabeled.pictures.string());
  }
  return both;
}

GraphSpec graph_of(const std::string& graph) {
  try {
    return graph.ends_with(".json") ? graph_from_file(graph) : graph_by_name(graph);
  } catch (const ValueError& error) {
    throw ConfigError("model.graph: {}", error.what());
  }
}

std::unique_ptr<Model> trained_model(const GraphSpec& spec, const Config& config,
                                     const Compute& compute) {
  try {
    return std::make_unique<Model>(spec, compute, config.train.freeze);
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
  // As they come out of the augmentation, up to a tenth larger or smaller.
  const std::vector<BoxSize> scaled =
      label_sizes(dataset, double(config.train.image_size), uint64_t(config.train.seed) + 1);
  const AnchorFit own = fit_of(spec.anchors, scaled, anchor_t);
  const std::string recall = fmt::format("best possible recall {:.4f}", own.recall);
  if (mode == Mode::kAuto && (own.recall > kEnough || config.teacher)) {
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
  const bool is_better =
      mode == Mode::kAlways ? reached.fitness > own.fitness : reached.recall > own.recall;
  say(fmt::format("anchors: {}; fitted ones reach {:.4f} and are {}", recall, reached.recall,
                  is_better ? "used" : "no better: kept as they were"));
  return is_better ? spec.with_anchors(fitted) : spec;
}

std::unique_ptr<Model> make_student(const Config& config, const Dataset& dataset,
                                    const Compute& compute, const Say& say) {
  const std::vector<std::string>& names = dataset.names;
  const int64_t classes = int64_t(names.size());
  const bool has_weights = !config.model.weights.empty();
  Checkpoint checkpoint;
  if (has_weights) checkpoint = load_checkpoint(config.model.weights, PtWeights::kModel);
  GraphSpec spec = config.model.graph.empty() ? checkpoint.spec : graph_of(config.model.graph);
  if (has_weights && !config.model.graph.empty() && spec.name != checkpoint.spec.name) {
    say(fmt::format("model: weights of {} go into the graph {}", checkpoint.spec.name, spec.name));
  }
  if (spec.num_classes != classes) {
    if (has_weights) {
      say(fmt::format("model: the head for {} classes is replaced by one for {}", spec.num_classes,
                      classes));
    }
    spec = spec.with_classes(classes);
  }
  spec = with_fitting_anchors(std::move(spec), config, dataset, say);
  auto model = trained_model(spec, config, compute);
  model->initialise(uint64_t(config.train.seed));
  if (has_weights) {
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

StepLosses losses_of(const Config& config, const GraphSpec& student, const GraphSpec* teacher) {
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
    losses.distill->temperature = config.distill.temperature;
    losses.distill->gains = scaled_distill_gains(
        config.distill.gain, {config.distill.box, config.distill.obj, config.distill.cls},
        student.num_classes, heads, size);
  }
  return losses;
}

std::unique_ptr<Model> make_validated_model(const Checkpoint& checkpoint,
                                            const std::vector<std::string>& names,
                                            const Compute& compute) {
  if (checkpoint.spec.num_classes != int64_t(names.size())) {
    throw ConfigError("model: its head knows {} classes, the data has {}",
                      checkpoint.spec.num_classes, names.size());
  }
  auto model = build_model(checkpoint, compute);
  model->prepare_inference();
  return model;
}

}  // namespace ydistill
