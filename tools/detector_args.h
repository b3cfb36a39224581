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

/// Adds --conf, --iou.
void add_nms_options(CLI::App& command, double& conf, double& iou);
/// Adds --weights, --conf, --iou, --max-det, --classes, --merge, --agnostic, --tta, --size,
/// --threads, --device, --precision, --autotune.
void add_detector_options(CLI::App& command, DetectorArgs& args);

/// Sets the threads. throws ConfigError for a device or precision that is invalid for any weights.
void use_machine(DetectorArgs& args);

/// Loads the weights and sets what depends on them: classes, merges, device and precision. throws
/// FileError; ConfigError, with the command's name, for a --size that they do not take, for a class
/// that they do not know, and for a precision.
Checkpoint load_weights(DetectorArgs& args, const std::string& command);

/// [{"class": 0, "name": ..., "score": ..., "box_xyxy": [...]}, ...], pixels.
nlohmann::ordered_json json_of(const std::vector<Detection>& detections,
                               const std::vector<std::string>& names);

/// Draws boxes with names and scores, the best on top.
void draw_detections(Image& image, const std::vector<Detection>& detections,
                     const std::vector<std::string>& names);

}  // namespace ydistill::tools
