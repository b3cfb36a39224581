// SPDX-License-Identifier: MIT
// Converts the logits of a head's box to pixels, as YOLOv5 defines it; shared by CPU and GPU.
#pragma once

#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/tensor/math.h>

namespace ydistill {

/// (2 s - 0.5 + cell) stride, s = sigmoid(t); cell: column for x, row for y
template <class T>
YD_HOST_DEVICE T centre_of_sigmoid(T s, int64_t cell, T stride) {
  return (T(2) * s - T(0.5) + T(cell)) * stride;
}
template <class T>
YD_HOST_DEVICE T decode_centre(T t, int64_t cell, T stride) {
  return centre_of_sigmoid(sigmoid(t), cell, stride);
}

/// (2 s)^2 anchor, s = sigmoid(t); anchor in pixels
template <class T>
YD_HOST_DEVICE T side_of_sigmoid(T s, T anchor) {
  return T(2) * s * (T(2) * s) * anchor;
}
template <class T>
YD_HOST_DEVICE T decode_side(T t, T anchor) {
  return side_of_sigmoid(sigmoid(t), anchor);
}

}  // namespace ydistill
