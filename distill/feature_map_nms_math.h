// SPDX-License-Identifier: MIT
// FM-NMS (feature_map_nms.h) box by box, for either backend.
#pragma once

#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill {

/// The class with the largest logit of a box; the first among equals.
template <class T>
YD_HOST_DEVICE int64_t largest_class(const T* box, int64_t width) {
  int64_t best = 5;
  for (int64_t c = 6; c < width; ++c) {
    if (box[c] > box[best]) best = c;
  }
  return best - 5;
}

/// Whether the 3x3 cells around box i hold a higher-scoring box of the same class, or an equal one
/// before it.
template <class T>
YD_HOST_DEVICE bool has_surer_neighbour(const T* head, const int64_t* classes, const HeadDims& dims,
                                        int64_t i) {
  const int64_t cell = i / dims.anchors % (dims.rows * dims.columns);
  const int64_t of_picture = i / dims.cells() * dims.cells();
  const int64_t y = cell / dims.columns, x = cell % dims.columns;
  const T own = head[i * dims.width + 4];
  for (int64_t v = y > 0 ? y - 1 : 0; v <= y + 1 && v < dims.rows; ++v) {
    for (int64_t u = x > 0 ? x - 1 : 0; u <= x + 1 && u < dims.columns; ++u) {
      const int64_t first = of_picture + (v * dims.columns + u) * dims.anchors;
      for (int64_t j = first; j < first + dims.anchors; ++j) {
        if (classes[j] != classes[i]) continue;
        const T other = head[j * dims.width + 4];
        if (other > own || (other == own && j < i)) return true;
      }
    }
  }
  return false;
}

}  // namespace ydistill
