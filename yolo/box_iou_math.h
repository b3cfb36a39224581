// SPDX-License-Identifier: MIT
// Overlap of boxes: IoU, and CIoU (Zheng et al., "Enhancing geometric factors", 2020) with its
// gradient, as YOLOv5 computes them.
#pragma once

#include <cmath>

#include <ydistill/tensor/host_device.h>

namespace ydistill {

/// IoU of two boxes given by their corners; `eps` is added to the union. With eps 0, two boxes
/// without area give 0/0, NaN.
template <class T>
YD_HOST_DEVICE T box_iou(T ax1, T ay1, T ax2, T ay2, T bx1, T by1, T bx2, T by2, T eps) {
  T w = (ax2 < bx2 ? ax2 : bx2) - (ax1 > bx1 ? ax1 : bx1);
  T h = (ay2 < by2 ? ay2 : by2) - (ay1 > by1 ? ay1 : by1);
  w = w > T(0) ? w : T(0);
  h = h > T(0) ? h : T(0);
  const T inter = w * h;
  return inter / ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - inter + eps);
}

/// CIoU and its derivatives by centre x, centre y, width and height of the predicted box.
template <class T>
struct CIoU {
  T value, grad_x, grad_y, grad_w, grad_h;
};

namespace detail {

/// Intersection and hull of two intervals on one axis, given by centre and length, with their
/// derivatives by the first interval's centre and length. Where two ends coincide, min and max pass
/// half of the gradient to each.
template <class T>
struct Overlap {
  T inter, inter_centre, inter_length;
  T hull, hull_centre, hull_length;
};

template <class T>
YD_HOST_DEVICE Overlap<T> overlap(T centre, T length, T other_centre, T other_length) {
  const T low = centre - length / T(2), high = centre + length / T(2);
  const T other_low = other_centre - other_length / T(2);
  const T other_high = other_centre + other_length / T(2);
  // 1 where the first interval's end is the inner one
  const T inner_low = low > other_low ? T(1) : low < other_low ? T(0) : T(0.5);
  const T inner_high = high < other_high ? T(1) : high > other_high ? T(0) : T(0.5);
  Overlap<T> o;
  o.inter = (high < other_high ? high : other_high) - (low > other_low ? low : other_low);
  o.inter_centre = inner_high - inner_low;
  o.inter_length = (inner_high + inner_low) / T(2);
  if (o.inter < T(0)) o.inter = o.inter_centre = o.inter_length = T(0);
  o.hull = (high > other_high ? high : other_high) - (low < other_low ? low : other_low);
  o.hull_centre = inner_low - inner_high;
  o.hull_length = T(1) - (inner_high + inner_low) / T(2);
  return o;
}

}  // namespace detail

/// CIoU of a predicted box (x, y, w, h: centre and size, w and h > 0) and a target box:
///   iou - d^2 / c^2 - alpha v,   d: distance of the centres, c: diagonal of the hull,
///   v = 4 / pi^2 (atan(tw / th) - atan(w / h))^2,   alpha = v / (v - iou + 1 + eps) held constant.
/// eps = 1e-7 is added to both heights (for area and v), to the union and to c^2.
template <class T>
YD_HOST_DEVICE CIoU<T> ciou(T x, T y, T w, T h, T tx, T ty, T tw, T th) {
  const T eps = T(1e-7);
  const auto horizontal = detail::overlap(x, w, tx, tw);
  const auto vertical = detail::overlap(y, h, ty, th);
  const T height = h + eps, target_height = th + eps;

  const T inter = horizontal.inter * vertical.inter;
  const T area_union = w * height + tw * target_height - inter + eps;
  const T iou = inter / area_union;
  // d iou = (d inter (1 + iou) - iou d area) / union, area = w (h + eps)
  const T by_inter = (T(1) + iou) / area_union, by_area = -iou / area_union;

  const T c2 = horizontal.hull * horizontal.hull + vertical.hull * vertical.hull + eps;
  const T dx = x - tx, dy = y - ty;
  const T distance = (dx * dx + dy * dy) / c2;
  // d distance = (2 dx d dx + 2 dy d dy - distance d c2) / c2
  const T by_delta = T(2) / c2, by_hull = -T(2) * distance / c2;

  const T four_by_pi2 = T(0.405284734569351085775517852838911);
  const T angle = std::atan(tw / target_height) - std::atan(w / height);
  const T v = four_by_pi2 * angle * angle;
  const T alpha = v / (v - iou + (T(1) + eps));
  // d atan(w / h) = (h d w - w d h) / (w^2 + h^2)
  const T by_angle = -T(2) * alpha * four_by_pi2 * angle / (w * w + height * height);

  CIoU<T> result;
  result.value = iou - (distance + v * alpha);
  result.grad_x = by_inter * horizontal.inter_centre * vertical.inter -
                  (by_delta * dx + by_hull * horizontal.hull * horizontal.hull_centre);
  result.grad_y = by_inter * vertical.inter_centre * horizontal.inter -
                  (by_delta * dy + by_hull * vertical.hull * vertical.hull_centre);
  result.grad_w = by_inter * horizontal.inter_length * vertical.inter + by_area * height -
                  by_hull * horizontal.hull * horizontal.hull_length - by_angle * height;
  result.grad_h = by_inter * vertical.inter_length * horizontal.inter + by_area * w -
                  by_hull * vertical.hull * vertical.hull_length + by_angle * w;
  return result;
}

}  // namespace ydistill
