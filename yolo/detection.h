// SPDX-License-Identifier: MIT
// What a detector finds, and what a label says.
#pragma once

#include <cstdint>

namespace ydistill {

/// A box found in a picture. Corners in pixels (of the network input or of the picture: the
/// function says which).
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
