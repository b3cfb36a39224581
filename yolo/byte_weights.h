// SPDX-License-Identifier: MIT
// Convolution weights stored as bytes in a file, a quarter of float32's size (internal to
// checkpoint.cpp). The file's metadata has `weights`: `bytes`.
//
//   NAME.bytes   uint8 [O,I,K,K]: q + 128, -127 <= q <= 127
//   NAME.scales  float32 [O]      weight[o] = scales[o] q[o]
#pragma once

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// Each float32 tensor [O,I,K,K] becomes the two above, rounded; others are unchanged.
NamedTensors weights_to_bytes(const NamedTensors& tensors);
/// The inverse: one tensor instead of the two. throws ValueError, with the name, for bytes whose
/// scales are missing or of another number or type, and for a tensor of neither form.
NamedTensors weights_from_bytes(NamedTensors tensors);

}  // namespace ydistill
