// SPDX-License-Identifier: MIT
// The rules of target assignment for one target, shared by CPU and GPU. Comparisons are in float32,
// as in the original, rounded after every operation, so that both backends decide alike.
#pragma once

#include <cmath>
#include <cstdint>

#include <ydistill/tensor/host_device.h>
#include <ydistill/yolo/target_assignment.h>

namespace ydistill {

/// The target's own cell, left, up, right, down.
inline constexpr int kNumOffsets = 5;

namespace detail {

/// a b, rounded; a GPU might otherwise fuse it with an addition.
YD_HOST_DEVICE float rounded_product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

/// True if the centre is in the half of its cell next to the lower neighbour, and that exists.
YD_HOST_DEVICE bool near_lower(float position) {
  return position - std::floor(position) < 0.5f && position > 1;
}

/// Whether a target with this centre, in cells, is assigned to neighbour `offset`.
YD_HOST_DEVICE bool takes(int offset, float x, float y, const HeadDims& head) {
  switch (offset) {
    case 1:
      return near_lower(x);
    case 2:
      return near_lower(y);
    case 3:
      return near_lower(float(head.columns) - x);
    case 4:
      return near_lower(float(head.rows) - y);
    default:
      return true;
  }
}

YD_HOST_DEVICE bool similar(float side, double anchor, float anchor_t) {
  const float ratio = side / float(anchor), inverse = 1 / ratio;
  return (ratio < inverse ? inverse : ratio) < anchor_t;
}

/// The cell of a position, clamped to the grid.
YD_HOST_DEVICE int64_t cell_of(float position, int64_t cells) {
  const int64_t cell = int64_t(position);
  return cell < 0 ? 0 : cell > cells - 1 ? cells - 1 : cell;
}

}  // namespace detail

/// Whether a target is assigned to neighbour `offset` of its cell with an anchor of this size, in
/// cells; if so, sets `m` except for m.target.
/// target  picture, class, centre x, centre y, width, height, 0..1
YD_HOST_DEVICE bool match_target(const float* target, int offset, int64_t anchor, double anchor_w,
                                 double anchor_h, float anchor_t, const HeadDims& head, Match& m) {
  const float columns = float(head.columns), rows = float(head.rows);
  const float x = detail::rounded_product(target[2], columns);
  const float y = detail::rounded_product(target[3], rows);
  if (!detail::similar(detail::rounded_product(target[4], columns), anchor_w, anchor_t) ||
      !detail::similar(detail::rounded_product(target[5], rows), anchor_h, anchor_t)) {
    return false;
  }
  if (!detail::takes(offset, x, y, head)) return false;
  const float from_x = offset == 1 ? 0.5f : offset == 3 ? -0.5f : 0;
  const float from_y = offset == 2 ? 0.5f : offset == 4 ? -0.5f : 0;
  m.picture = int64_t(target[0]);
  m.class_id = int64_t(target[1]);
  m.anchor = anchor;
  m.column = detail::cell_of(x - from_x, head.columns);
  m.row = detail::cell_of(y - from_y, head.rows);
  m.x = double(target[2]) * double(head.columns) - double(m.column);
  m.y = double(target[3]) * double(head.rows) - double(m.row);
  m.w = double(target[4]) * double(head.columns);
  m.h = double(target[5]) * double(head.rows);
  m.anchor_w = anchor_w;
  m.anchor_h = anchor_h;
  return true;
}

/// Index of the match's box in the head, in memory order.
YD_HOST_DEVICE int64_t box_of(const Match& m, const HeadDims& head) {
  return ((m.picture * head.rows + m.row) * head.columns + m.column) * head.anchors + m.anchor;
}

}  // namespace ydistill
