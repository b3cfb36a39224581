// SPDX-License-Identifier: MIT
// Test-time augmentation: the network runs on three views of each picture, and NMS merges the boxes
// of all views (YOLOv5 models/yolo.py, _forward_augment, v7.0). Finds more, at about twice the
// cost.
#pragma once

#include <functional>
#include <vector>

#include <ydistill/yolo/nms.h>

namespace ydistill {

/// A network: uint8 [N,H,W,3] to the logits of its heads. Its result need not stay valid after the
/// next call.
using Network = std::function<std::vector<Tensor>(const Tensor&)>;

/// Views: the pictures unchanged, mirrored at 0.83 of their size, and at 0.67. A smaller view is in
/// the upper left of an input with sides of the next multiples of stride; the rest is grey. As in
/// the original, the first view omits its coarsest head and the last its finest, unless the network
/// has only one head; omitted heads are not checked for NaN. Pictures are resized as bytes; the
/// original resizes floats.
///
/// images   uint8 [N,H,W,3] on any device, H and W multiples of stride: what the network takes.
/// returns  as nms_heads, in pixels of `images`.
/// throws   as nms_heads and the network; ShapeError, DTypeError for images.
std::vector<std::vector<Detection>> nms_with_tta(const Network& network, const Tensor& images,
                                                 int64_t stride, const Anchors& anchors,
                                                 const NmsOptions& options);

}  // namespace ydistill
