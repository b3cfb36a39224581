// SPDX-License-Identifier: MIT
// From the logits of a head's box to pixels, as YOLOv5 defines it, for either backend.
#pragma once

#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

namespace ydistill {

/// (2 sigmoid(t) - 0.5 + cell) stride; cell: column for x, row for y
template <class T>
YD_HOST_DEVICE T decode_centre(T t, int64_t cell, T stride) {
  return (T(2) * sigmoid(t) - T(0.5) + T(cell)) * stride;
}

/// (2 sigmoid(t))^2 anchor; anchor in pixels
template <class T>
YD_HOST_DEVICE T decode_side(T t, T anchor) {
  const T s = T(2) * sigmoid(t);
  return s * s * anchor;
}

}  // namespace ydistill
