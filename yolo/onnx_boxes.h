// SPDX-License-Identifier: MIT
// ONNX operators from the heads' logits to boxes and to detections.
#pragma once

#include <string>
#include <vector>

#include <ydistill/yolo/graph.h>
#include <ydistill/yolo/nms.h>
#include <ydistill/yolo/onnx_modules.h>

namespace ydistill {

/// heads    [N,A (5+C),H,W] float32, in the order of Detect's inputs.
/// returns  "output0" [N,boxes,5+C], as decode_heads.
std::string add_onnx_boxes(OnnxGraph& graph, const std::vector<OnnxFeatureMap>& heads,
                           const GraphSpec& spec);

/// boxes    "output0", [N,boxes,5+C].
/// returns  "detections" [n,7]: picture, x1, y1, x2, y2, score, class; highest score first. As
/// nms()
///          with the best class of each box (of equal ones the first) and suppression within a
///          class.
std::string add_onnx_detections(OnnxGraph& graph, const std::string& boxes, int64_t num_classes,
                                const NmsOptions& options);

}  // namespace ydistill
