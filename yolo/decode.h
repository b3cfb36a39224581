// SPDX-License-Identifier: MIT
// Converts the heads' logits to boxes in pixels and scores.
#pragma once

#include <vector>

#include <ydistill/tensor/cpu_level.h>
#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill {

/// heads    raw logits, float32 or float64 [N,H,W,A,5+C]: tx ty tw th objectness classes.
/// returns  [N, boxes, 5+C]: centre x, centre y, width, height in input pixels, sigmoid of
///          objectness and classes. Boxes are ordered as in YOLOv5: head, anchor, row, column.
///          On the heads' device.
///   cx = (2 sigmoid(tx) - 0.5 + column) stride     w = (2 sigmoid(tw))^2 anchor_w
///   cy = (2 sigmoid(ty) - 0.5 + row) stride        h = (2 sigmoid(th))^2 anchor_h
/// throws   ShapeError, DTypeError, ValueError as check_heads.
Tensor decode_heads(const std::vector<Tensor>& heads, const Anchors& anchors);

namespace cuda {
/// Decodes head `index` into `decoded`; first: index of the head's first box in a picture. float32.
void decode_head(const Tensor& logits, const HeadDims& head, const Anchors& anchors, size_t index,
                 int64_t first, const Tensor& decoded);
}  // namespace cuda

/// One row of cells, boxes of one anchor.
template <class T>
struct DecodeArgs {
  const T* logits;  // of the first box; box_step numbers from one box to the next
  T* boxes;         // [columns, width]
  int64_t row, columns, box_step, width;
  T stride, anchor_w, anchor_h;
};

struct DecodeKernels {
  void (*decode_f32)(const DecodeArgs<float>&);
  void (*decode_f64)(const DecodeArgs<double>&);
};
YD_DECLARE_CPU_KERNELS(DecodeKernels, decode_kernels);

}  // namespace ydistill
