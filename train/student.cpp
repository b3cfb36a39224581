// SPDX-License-Identifier: MIT
#include <ydistill/train/student.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <ydistill/distill/distill_loss.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/random.h>
#include <ydistill/yolo/autoanchor.h>
#include <ydistill/yolo/select_classes.h>

namespace ydistill {
namespace {

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

/// Whether the student can take the teacher's anchors. Different strides or numbers of anchors are
/// refused when the two are compared.
bool has_places_for(const GraphSpec& student, const GraphSpec& teacher) {
  return student.anchors.strides == teacher.anchors.strides &&
         student.anchors.per_head() == teacher.anchors.per_head();
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

namespace {

/// The spec; where its anchors match too few of the data set's labels, with the teacher's if those
/// match enough, else with fitted ones (train.autoanchor). Reports the best possible recalls.
GraphSpec with_fitting_anchors(GraphSpec spec, const Config& config, const Dataset& dataset,
                               const Say& say, const GraphSpec* teacher) {
  constexpr double kEnough = 0.98;
  using Mode = TrainConfig::Autoanchor;
  const Mode mode = config.train.autoanchor;
  const std::vector<BoxSize> sizes = label_sizes(dataset, double(config.train.image_size), 0);
  const bool stand_in = spec.anchors_are_counted;
  if (mode == Mode::kOff || sizes.empty()) {
    if (stand_in) say("anchors: the graph has only their number; square placeholders are used");
    return spec;
  }
  const double anchor_t = config.loss.anchor_t;
  // Sizes as after the augmentation, up to a tenth larger or smaller.
  const std::vector<BoxSize> scaled =
      label_sizes(dataset, double(config.train.image_size), uint64_t(config.train.seed) + 1);
  const AnchorFit own = fit_of(spec.anchors, scaled, anchor_t);
  const std::string recall = fmt::format("best possible recall {:.4f}", own.recall);
  if (mode == Mode::kAuto && !stand_in) {
    if (own.recall > kEnough) {
      say("anchors: " + recall);
      return spec;
    }
    // Where student and teacher have the same anchors, equal logits mean equal boxes.
    if (teacher != nullptr && same_anchors(spec.anchors, teacher->anchors)) {
      say(
          fmt::format("anchors: {}; they are the teacher's and are kept (train.autoanchor=always "
                      "would fit new ones)",
                      recall));
      return spec;
    }
    if (teacher != nullptr && has_places_for(spec, *teacher)) {
      const double theirs = fit_of(teacher->anchors, scaled, anchor_t).recall;
      if (theirs > kEnough) {
        say(fmt::format("anchors: {}; the teacher's reach {:.4f} and are used", recall, theirs));
        return spec.with_anchors(teacher->anchors);
      }
    }
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

/// Without labels to fit anchors to, a student from scratch takes the teacher's anchors: then equal
/// logits mean equal boxes.
GraphSpec with_anchors_of_teacher(GraphSpec spec, const Config& config, const GraphSpec* teacher,
                                  const Say& say) {
  if (teacher == nullptr || config.train.autoanchor == TrainConfig::Autoanchor::kOff) return spec;
  if (!has_places_for(spec, *teacher) || same_anchors(spec.anchors, teacher->anchors)) return spec;
  say("anchors: the teacher's are taken");
  return spec.with_anchors(teacher->anchors);
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
  spec = with_fitting_anchors(std::move(spec), config, dataset, say, teacher);
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

}  // namespace ydistill
