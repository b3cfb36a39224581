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
  kFloats,  ///< float32 [N,3,H,W] RGB, 0 to 1: what YOLOv5's own files take
  kBytes,   ///< uint8 [N,H,W,3] RGB: pictures as they are
};

enum class OnnxOutput {
  kBoxes,       ///< "output0", as decode_heads: what YOLOv5's own files give
  kDetections,  ///< "detections", after NMS
  kLogits,      ///< "logits0", "logits1", ...: the heads' convolutions
};

enum class OnnxShapes {
  kFixed,    ///< batch, height and width of the options
  kDynamic,  ///< any batch, any height and width that are multiples of the largest stride
};

struct OnnxOptions {
  int64_t batch = 1, height = 640, width = 640;  ///< for kFixed
  OnnxShapes shapes = OnnxShapes::kFixed;
  OnnxInput input = OnnxInput::kFloats;
  OnnxOutput output = OnnxOutput::kBoxes;
  /// kFloat16: of the weights and of all between input and heads; input and outputs are as always.
  /// kInt8: the same in 8 bits, as Model::prepare_int8() computes, of a calibrated checkpoint
  /// (operator set 13).
  OnnxType precision = OnnxType::kFloat;
  NmsOptions nms = {};  ///< conf, iou and max_det of kDetections
};

/// The network for inference, batch norm folded, as the bytes of a .onnx file (operator set 12, in
/// 8 bits 13).
///
/// input    "images", see OnnxInput. Pictures come letterboxed (data/letterbox.h).
/// outputs  float32, by OnnxOutput:
///   kBoxes       [N,boxes,5+C]: centre x, centre y, width, height in input pixels, sigmoid of
///                objectness and classes; head, anchor, row, column.
///   kDetections  [n,7]: number of the picture, x1, y1, x2, y2 in input pixels, score, class; best
///                score first, max_det times N at most. As nms() with its default labels and scope
///                and no max_nms.
///   kLogits      [N,A (5+C),H/stride,W/stride] of each head.
/// Metadata has "stride" and "names" as YOLOv5 writes them, and "graph".
/// throws ValueError for sizes that are no multiples of the stride or that the graph's modules
/// cannot take, for weights that are missing, for one that is too large for float16, and in 8 bits
/// for a calibration that is missing; then also ShapeError and NotFiniteError, as
/// quantize_weights() does; what nms() throws for its options.
std::string encode_onnx(const Checkpoint& checkpoint, const OnnxOptions& options,
                        const std::string& producer_version);

}  // namespace ydistill
