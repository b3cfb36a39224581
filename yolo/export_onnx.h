// SPDX-License-Identifier: MIT
// A network as an ONNX file, for other runtimes.
#pragma once

#include <cstdint>
#include <string>

#include <ydistill/tensor/io/onnx_graph.h>
#include <ydistill/yolo/checkpoint.h>
#include <ydistill/yolo/nms.h>

namespace ydistill {

enum class OnnxInput {
  kFloats,  ///< float32 [N,3,H,W] RGB, 0 to 1: as YOLOv5's own files
  kBytes,   ///< uint8 [N,H,W,3] RGB: decoded pictures
};

enum class OnnxOutput {
  kBoxes,       ///< "output0", as decode_heads and as YOLOv5's own files
  kDetections,  ///< "detections", after NMS
  kLogits,      ///< "logits0", "logits1", ...: the heads' convolutions
};

enum class OnnxShapes {
  kFixed,    ///< batch, height and width from the options
  kDynamic,  ///< any batch, any height and width that are multiples of the largest stride
};

struct OnnxOptions {
  int64_t batch = 1, height = 640, width = 640;  ///< for kFixed
  OnnxShapes shapes = OnnxShapes::kFixed;
  OnnxInput input = OnnxInput::kFloats;
  OnnxOutput output = OnnxOutput::kBoxes;
  /// kFloat16: weights and everything between input and heads; input and outputs keep their types.
  /// kInt8: likewise, computed as by Model::prepare_int8(); needs a calibrated checkpoint (operator
  /// set 13).
  OnnxType precision = OnnxType::kFloat;
  NmsOptions nms = {};  ///< conf, iou and max_det of kDetections
};

/// The network for inference, batch norm folded, as the bytes of a .onnx file (operator set 12, for
/// int8 13).
///
/// input    "images", see OnnxInput. Pictures come letterboxed (data/letterbox.h).
/// outputs  float32, by OnnxOutput:
///   kBoxes       [N,boxes,5+C]: centre x, centre y, width, height in input pixels, sigmoid of
///                objectness and classes; order: head, anchor, row, column.
///   kDetections  [n,7]: index of the picture, x1, y1, x2, y2 in input pixels, score, class;
///                highest score first, n at most max_det times N. As nms() with its default labels
///                and scope and no max_nms.
///   kLogits      [N,A (5+C),H/stride,W/stride] for each head.
/// Metadata has "stride" and "names" as YOLOv5 writes them, and "graph".
/// throws ValueError for sizes that are no multiples of the stride or that the graph's modules
/// cannot take, for missing weights, for a weight too large for float16, and for a missing
/// calibration in int8; in int8 also ShapeError and NotFiniteError, as quantize_weights(); as nms()
/// for its options.
std::string encode_onnx(const Checkpoint& checkpoint, const OnnxOptions& options,
                        const std::string& producer_version);

}  // namespace ydistill
