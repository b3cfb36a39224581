// SPDX-License-Identifier: MIT
// Anchors of the detection heads, and the sizes of the heads themselves.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ydistill/tensor/tensor.h>

namespace ydistill {

/// One list of anchors per head, in pixels, with the strides, because decoding uses input pixels
/// and the losses use cells of the head: cells are computed on demand.
struct Anchors {
  std::vector<double> strides;                            ///< input pixels per cell, one per head
  std::vector<std::vector<std::array<double, 2>>> wh_px;  ///< [head][anchor] width, height, pixels

  int64_t num_heads() const { return int64_t(strides.size()); }
  int64_t per_head() const { return wh_px.empty() ? 0 : int64_t(wh_px.front().size()); }
  /// Width and height of an anchor in cells of its head.
  std::array<double, 2> grid(size_t head, size_t anchor) const {
    const auto& wh = wh_px[head][anchor];
    return {wh[0] / strides[head], wh[1] / strides[head]};
  }
  bool operator==(const Anchors&) const = default;

  /// The anchors of the official YOLOv5 P3-P5 models, fitted to COCO at 640 pixels.
  static Anchors yolov5();
};

/// throws ValueError, naming `op`, unless there are as many lists as strides, all lists are equally
/// long and not empty, and every number is finite and > 0.
void check_anchors(std::string_view op, const Anchors& anchors);

/// Sizes of one head [pictures, rows, columns, anchors, 5 + classes].
struct HeadDims {
  int64_t pictures = 0, rows = 0, columns = 0, anchors = 0, width = 0;

  constexpr int64_t classes() const { return width - 5; }
  /// Boxes in one picture of this head.
  constexpr int64_t cells() const { return rows * columns * anchors; }
};

/// The sizes of all heads of a network, which agree in pictures, anchors, classes and dtype.
/// throws ShapeError or DTypeError, naming `op`, where they do not, where a head is not float32 or
/// float64 [N,H,W,A,5+C] with C >= 1, or where `anchors` has another number of heads or anchors;
/// DeviceError if the heads are on different devices.
std::vector<HeadDims> check_heads(std::string_view op, const std::vector<Tensor>& heads,
                                  const Anchors& anchors);

}  // namespace ydistill
