// SPDX-License-Identifier: MIT
// Sheets of a batch's pictures with their boxes, to show the network's input and output.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/data/loader.h>
#include <ydistill/yolo/detection.h>

namespace ydistill {

/// Writes a JPEG of the batch's first 16 pictures with their labels. throws FileError.
void draw_labels(const std::filesystem::path& path, const Batch& batch,
                 const std::vector<std::string>& class_names);

/// The same with detections (corners in input pixels, one list per picture) of score 0.25 and
/// above.
void draw_detections(const std::filesystem::path& path, const Batch& batch,
                     const std::vector<std::vector<Detection>>& detections,
                     const std::vector<std::string>& class_names);

}  // namespace ydistill
