// SPDX-License-Identifier: MIT
// Test-time augmentation: each picture is looked at three times, and the boxes of all views compete
// (YOLOv5 models/yolo.py, _forward_augment, v7.0). More is found, for about twice the work.
#pragma once

#include <functional>
#include <vector>

#include <ydistill/yolo/nms.h>

namespace ydistill {

/// A network: uint8 [N,H,W,3] to the logits of its heads. What it returns need not outlive the next
/// call.
using Network = std::function<std::vector<Tensor>(const Tensor&)>;

/// Views: the pictures as they are, mirrored at 0.83 of their size, and at 0.67. A smaller one lies
/// in the upper left of an input of the next multiples of stride, the rest is grey. As in the
/// original the first view leaves out its coarsest head and the last its finest, unless the network
/// has one head only; of what is left out nobody sees whether it is finite. Pictures are resized in
/// bytes, as all are here; the original resizes floating-point numbers.
///
/// images   uint8 [N,H,W,3] on any device, H and W multiples of stride: what the network takes.
/// returns  as nms_heads, in pixels of `images`.
/// throws   as nms_heads and the network; ShapeError, DTypeError for images.
std::vector<std::vector<Detection>> nms_with_tta(const Network& network, const Tensor& images,
                                                 int64_t stride, const Anchors& anchors,
                                                 const NmsOptions& options);

}  // namespace ydistill
