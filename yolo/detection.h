// SPDX-License-Identifier: MIT
// Boxes: detected and labelled.
#pragma once

#include <cstdint>

namespace ydistill {

/// A detected box. Corners in pixels (of the network input or of the picture: each function states
/// which).
struct Detection {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  float score = 0;  ///< objectness times class probability
  int64_t class_id = 0;
  bool operator==(const Detection&) const = default;
};

/// A labelled box; corners in the same pixels as the detections it is compared with.
struct TruthBox {
  int64_t class_id = 0;
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

}  // namespace ydistill
