// SPDX-License-Identifier: MIT
// Boxes from the network's input back to the picture.
#pragma once

#include <vector>

#include <ydistill/data/letterbox.h>
#include <ydistill/yolo/detection.h>

namespace ydistill {

/// The detections with corners in pixels of the picture, clipped to it, instead of the input's.
std::vector<Detection> in_picture(const Letterbox& letterbox, std::vector<Detection> detections);

}  // namespace ydistill
