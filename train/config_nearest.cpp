// SPDX-License-Identifier: MIT
// Finds what an unknown key was probably meant to be.

#include <ydistill/tensor/edit_distance.h>
#include <ydistill/train/config_table.h>

#include <algorithm>

namespace ydistill {

namespace {

// Names used by people who come from the original code.
struct Synonym {
  std::string_view name, path;
};
constexpr Synonym kSynonyms[] = {
    {"imgsz", "train.image_size"},
    {"img_size", "train.image_size"},
    {"img", "train.image_size"},
    {"batch_size", "train.batch"},
    {"conf_thres", "val.conf"},
    {"iou_thres", "val.iou"},
    {"project", "run.dir"},
    {"cfg", "model.graph"},
    {"t_weights", "teacher.weights"},
    {"dist_loss", "distill.loss"},
    {"linear_lr", "train.schedule"},
    {"nbs", "train.nominal_batch"},
    {"learning_rate", "train.lr0"},
    {"lr", "train.lr0"},
    {"single_cls", "train.single_class"},
};

}  // namespace

std::string nearest_config_path(std::string_view path) {
  constexpr size_t kLongest = 100;  // a longer key resembles none
  if (path.size() > kLongest) return "";
  const std::string_view last = last_part(path);
  for (const Synonym& s : kSynonyms) {
    if (s.name == last) return std::string(s.path);
  }
  std::string best;
  size_t best_distance = 1 + last.size() / 3;  // a larger distance is no similarity
  // The last part matters most; a wrong section costs one, so that `epochs` finds train.epochs but
  // `val.bacth` finds val.batch rather than train.batch.
  const auto consider = [&](std::string_view known) {
    const size_t parts =
        edit_distance(last, last_part(known)) + (parent_path(path) == parent_path(known) ? 0 : 1);
    const size_t distance = std::min(parts, edit_distance(path, known));
    if (distance < best_distance || (best.empty() && distance == best_distance)) {
      best_distance = distance;
      best = known;
    }
  };
  for (const ConfigField& f : config_fields()) consider(f.path);
  for (const ConfigSection& s : config_sections()) consider(s.path);
  return best;
}

}  // namespace ydistill
