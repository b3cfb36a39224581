// SPDX-License-Identifier: MIT
#include <ydistill/yolo/anchors.h>

#include <cmath>

namespace ydistill {

Anchors Anchors::yolov5() {
  return {{8, 16, 32},
          {{{10, 13}, {16, 30}, {33, 23}},
           {{30, 61}, {62, 45}, {59, 119}},
           {{116, 90}, {156, 198}, {373, 326}}}};
}

void check_anchors(std::string_view op, const Anchors& anchors) {
  if (anchors.wh_px.size() != anchors.strides.size() || anchors.strides.empty()) {
    throw ValueError("{}: {} strides and anchors for {} heads; both need one entry a head", op,
                     anchors.strides.size(), anchors.wh_px.size());
  }
  for (size_t k = 0; k < anchors.strides.size(); ++k) {
    if (!(anchors.strides[k] > 0) || !std::isfinite(anchors.strides[k])) {
      throw ValueError("{}: the stride of head {} is {}, must be > 0", op, k, anchors.strides[k]);
    }
    if (anchors.wh_px[k].empty() || int64_t(anchors.wh_px[k].size()) != anchors.per_head()) {
      throw ValueError(
          "{}: head {} has {} anchors, head 0 has {}; all need equally many, at least 1", op, k,
          anchors.wh_px[k].size(), anchors.per_head());
    }
    for (const auto& wh : anchors.wh_px[k]) {
      for (const double side : wh) {
        if (!(side > 0) || !std::isfinite(side)) {
          throw ValueError("{}: an anchor of head {} is {} x {} pixels, must be > 0", op, k, wh[0],
                           wh[1]);
        }
      }
    }
  }
}

std::vector<HeadDims> check_heads(std::string_view op, const std::vector<Tensor>& heads,
                                  const Anchors& anchors) {
  check_anchors(op, anchors);
  if (int64_t(heads.size()) != anchors.num_heads()) {
    throw ShapeError("{}: {} heads, but anchors for {}", op, heads.size(), anchors.num_heads());
  }
  std::vector<HeadDims> all;
  for (size_t k = 0; k < heads.size(); ++k) {
    const Tensor& head = heads[k];
    if (!head.defined() || head.rank() != 5 || head.size(4) < 6) {
      throw ShapeError("{}: head {} is {}, must be [N,H,W,A,5+C] with at least one class", op, k,
                       head.defined() ? head.str() : "undefined");
    }
    if (head.dtype() != DType::kFloat32 && head.dtype() != DType::kFloat64) {
      throw DTypeError("{}: head {} is {}, must be float32 or float64", op, k, head.str());
    }
    if (head.dtype() != heads[0].dtype()) {
      throw DTypeError("{}: head {} is {}, head 0 is {}", op, k, head.str(), heads[0].str());
    }
    if (head.device() != heads[0].device()) {
      throw DeviceError("{}: head {} is on {}, head 0 on {}", op, k, head.device().str(),
                        heads[0].device().str());
    }
    if (head.size(3) != anchors.per_head()) {
      throw ShapeError("{}: head {} is {}, but there are {} anchors a cell", op, k, head.str(),
                       anchors.per_head());
    }
    if (head.size(0) != heads[0].size(0) || head.size(4) != heads[0].size(4)) {
      throw ShapeError("{}: head {} is {}, head 0 is {}; pictures and classes must agree", op, k,
                       head.str(), heads[0].str());
    }
    all.push_back({head.size(0), head.size(1), head.size(2), head.size(3), head.size(4)});
  }
  return all;
}

}  // namespace ydistill
