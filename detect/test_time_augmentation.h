// SPDX-License-Identifier: MIT
// Test-time augmentation: each picture is looked at three times, and the boxes of all looks compete
// (YOLOv5 models/yolo.py, _forward_augment, v7.0). More is found, for two to three times the work.
#pragma once

#include <functional>
#include <vector>

#include <ydistill/yolo/nms.h>

namespace ydistill {

/// The network: uint8 [N,H,W,3] to the logits of its heads. What it returns need not outlive the
/// next call.
using Network = std::function<std::vector<Tensor>(const Tensor&)>;

/// Looks at the pictures as they are, mirrored at 0.83 of their size, and at 0.67. A smaller look
/// lies in the upper left of an input of the next multiples of the largest stride, the rest is
/// grey. As in the original the first look leaves out its coarsest head and the last its finest,
/// unless the network has one head only. Pictures are resized in bytes, as all are here; the
/// original resizes floating-point numbers.
///
/// images   uint8 [N,H,W,3], H and W multiples of stride: of the network's largest.
/// returns  as nms_heads, in pixels of `images`. throws as nms_heads and the network.
std::vector<std::vector<Detection>> nms_of_looks(const Network& network, const Tensor& images,
                                                 int64_t stride, const Anchors& anchors,
                                                 const NmsOptions& options);

}  // namespace ydistill
