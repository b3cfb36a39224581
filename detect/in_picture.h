// SPDX-License-Identifier: MIT
// Converts boxes from the network's input to the picture.
#pragma once

#include <vector>

#include <ydistill/data/letterbox.h>
#include <ydistill/yolo/detection.h>

namespace ydistill {

/// The detections with corners converted from pixels of the input to those of the picture, clipped.
std::vector<Detection> in_picture(const Letterbox& letterbox, std::vector<Detection> detections);

}  // namespace ydistill
