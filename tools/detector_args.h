// SPDX-License-Identifier: MIT
// What the commands that find objects share: options, the network, and how boxes are shown.
#pragma once

#include <CLI/CLI.hpp>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include <ydistill/data/image.h>
#include <ydistill/detect/detector.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill::tools {

struct DetectorArgs {
  std::string weights, device = "auto", precision = "auto";
  DetectorOptions options;
  std::vector<std::string> classes;  ///< names or ids
  std::vector<std::string> merge;    ///< NAME=CLASS,CLASS
  int threads = 0;
  bool agnostic = false;
  bool autotune = false;
};

/// --conf, --iou.
void add_nms_options(CLI::App& command, double& conf, double& iou);
/// --weights, --conf, --iou, --max-det, --classes, --merge, --agnostic, --tta, --size, --threads,
/// --device, --precision, --autotune.
void add_detector_options(CLI::App& command, DetectorArgs& args);

/// Settles threads and device. throws ConfigError for words that no weights could go with.
void use_machine(DetectorArgs& args);

/// The weights; settles the precision, which may depend on them. throws FileError; ConfigError,
/// with the command's name, for a --size that they do not take, for a class that they do not know,
/// and for a precision.
Checkpoint load_weights(DetectorArgs& args, const std::string& command);

/// [{"class": 0, "name": ..., "score": ..., "box_xyxy": [...]}, ...], pixels.
nlohmann::ordered_json json_of(const std::vector<Detection>& detections,
                               const std::vector<std::string>& names);

/// Boxes with names and scores, the best on top.
void draw_detections(Image& image, const std::vector<Detection>& detections,
                     const std::vector<std::string>& names);

}  // namespace ydistill::tools
