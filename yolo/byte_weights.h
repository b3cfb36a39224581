// SPDX-License-Identifier: MIT
// Weights of convolutions as bytes in a file, a quarter of float32's room (internal to
// checkpoint.cpp). The file's metadata says `weights`: `bytes`.
//
//   NAME.bytes   uint8 [O,I,K,K]: q + 128, -127 <= q <= 127
//   NAME.scales  float32 [O]      weight[o] = scales[o] q[o]
#pragma once

#include <ydistill/yolo/checkpoint.h>

namespace ydistill {

/// Each float32 tensor [O,I,K,K] as the two above, rounded; the others as they are.
NamedTensors weights_to_bytes(const NamedTensors& tensors);
/// The inverse, in place of the two. throws ValueError, with its name, for bytes whose scales are
/// missing or of another number or type, and for what neither form has.
NamedTensors weights_from_bytes(NamedTensors tensors);

}  // namespace ydistill
