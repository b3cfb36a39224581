// SPDX-License-Identifier: MIT
#include <ydistill/train/losses_of_config.h>

#include <fmt/format.h>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

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

}  // namespace

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

}  // namespace ydistill
