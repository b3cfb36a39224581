// SPDX-License-Identifier: MIT
#include <ydistill/tools/detector_args.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include <ydistill/detect/draw.h>
#include <ydistill/tensor/edit_distance.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tools/merge_args.h>

namespace ydistill::tools {
namespace {

/// What is wrong with a share; empty if nothing.
std::string check_share(const std::string& text) {
  double share = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), share);
  const bool number = problem == std::errc() && end == text.data() + text.size();
  if (number && share >= 0 && share <= 1) return "";
  return fmt::format("expected a number from 0 to 1, got \"{}\"", text);
}

/// Names take precedence over ids: a class may be called "7".
std::vector<int64_t> ids_of_classes(const std::vector<std::string>& wanted,
                                    const std::vector<std::string>& names,
                                    const ClassMerges& merges, const std::string& command) {
  std::vector<int64_t> ids;
  for (const std::string& word : wanted) {
    const size_t before = ids.size();
    for (size_t id = 0; id < names.size(); ++id) {
      if (names[id] == word) ids.push_back(int64_t(id));
    }
    if (ids.size() > before) continue;
    int64_t id = -1;
    const auto [end, problem] = std::from_chars(word.data(), word.data() + word.size(), id);
    const bool number = problem == std::errc() && end == word.data() + word.size();
    if (number && id >= 0 && id < int64_t(names.size())) {
      ids.push_back(id);
      continue;
    }
    if (number) {
      throw ConfigError("{}: --classes: there is no class {}, the weights have 0 to {}", command,
                        printable(word, 40), names.size() - 1);
    }
    for (const ClassMerge& merge : merges) {
      if (std::find(merge.of.begin(), merge.of.end(), word) == merge.of.end()) continue;
      throw ConfigError("{}: --classes: \"{}\" is merged into \"{}\" by --merge", command,
                        printable(word, 40), printable(merge.name, 40));
    }
    throw ConfigError(
        "{}: --classes: the weights have no class \"{}\", the nearest is \"{}\"; `ydistill info` "
        "lists all",
        command, printable(word, 40), printable(nearest_of(names, word), 40));
  }
  return ids;
}

}  // namespace

void add_nms_options(CLI::App& command, double& conf, double& iou) {
  command.add_option("--conf", conf, "minimum score, 0..1")
      ->check(check_share)
      ->capture_default_str();
  command.add_option("--iou", iou, "maximum overlap (IoU) of two boxes, 0..1")
      ->check(check_share)
      ->capture_default_str();
}

void add_detector_options(CLI::App& command, DetectorArgs& args) {
  command.add_option("--weights", args.weights, ".pt or .safetensors")->required();
  add_nms_options(command, args.options.conf, args.options.iou);
  command.add_option("--max-det", args.options.max_det, "boxes per picture, the best ones")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  command.add_option("--classes", args.classes,
                     "only these classes, by name or number: --classes person \"traffic light\" 7");
  add_merge_option(command, args.merge);
  command.add_flag("--agnostic", args.agnostic,
                   "boxes of different classes suppress each other too");
  command.add_flag("--tta", args.options.tta,
                   "test-time augmentation: three passes per picture; finds more, takes longer");
  command.add_option("--size", args.options.image_size, "longer side in the network, pixels")
      ->capture_default_str();
  command.add_option("--threads", args.threads, "threads that compute; 0: all cores")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  command.add_option("--device", args.device, "auto, cpu, cuda or cuda:N")->capture_default_str();
  command.add_option("--precision", args.precision, "auto, fp32, tf32, bf16 or int8")
      ->capture_default_str();
  command.add_flag("--autotune", args.autotune,
                   "on a GPU: spend a minute on choosing kernels, for many pictures");
}

void use_machine(DetectorArgs& args) {
  if (args.threads > 0) set_num_threads(args.threads);
  (void)choose_inference_compute(args.device, args.precision, /*calibrated=*/true, args.autotune);
}

Checkpoint load_weights(DetectorArgs& args, const std::string& command) {
  Checkpoint checkpoint = load_checkpoint(args.weights, PtWeights::kEma);
  const int64_t stride = checkpoint.spec.max_stride(), size = args.options.image_size;
  if (size < stride || size % stride != 0) {
    throw ConfigError("{}: --size: must be a multiple of {}, got {}", command, stride, size);
  }
  args.options.merge = merges_of(args.merge, command, &checkpoint.class_names);
  const MergedNames merged = merged_names(checkpoint.class_names, args.options.merge);
  args.options.classes = ids_of_classes(args.classes, merged.names, args.options.merge, command);
  if (args.agnostic) args.options.scope = NmsScope::kAllClasses;
  args.options.compute = choose_inference_compute(args.device, args.precision,
                                                  !checkpoint.calibration.empty(), args.autotune);
  return checkpoint;
}

nlohmann::ordered_json json_of(const std::vector<Detection>& detections,
                               const std::vector<std::string>& names) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Detection& d : detections) {
    list.push_back({{"class", d.class_id},
                    {"name", names[size_t(d.class_id)]},
                    {"score", d.score},
                    {"box_xyxy", {d.x1, d.y1, d.x2, d.y2}}});
  }
  return list;
}

void draw_detections(Image& image, const std::vector<Detection>& detections,
                     const std::vector<std::string>& names) {
  std::vector<DrawnBox> boxes;
  for (const Detection& d : detections) {
    boxes.push_back({d.x1, d.y1, d.x2, d.y2,
                     fmt::format("{} {:.2f}", names[size_t(d.class_id)], d.score), d.class_id});
  }
  std::reverse(boxes.begin(), boxes.end());
  draw_boxes(image, boxes);
}

}  // namespace ydistill::tools
