// SPDX-License-Identifier: MIT
#include <ydistill/yolo/target_assignment.h>

#include <algorithm>
#include <cmath>

#include <ydistill/yolo/target_assignment_math.h>

namespace ydistill {
namespace {

constexpr int kPicture = 0, kClass = 1, kX = 2, kW = 4, kColumns = 6;
constexpr float kRounding = 1e-3f;  // tolerance for the labels' text form and for clipping

bool is_index(float value, int64_t count) {
  return value >= 0 && value < float(count) && value == std::floor(value);
}

}  // namespace

void check_target_shape(std::string_view op, const Tensor& targets) {
  if (!targets.defined() || targets.rank() != 2 || targets.size(1) != kColumns) {
    throw ShapeError("{}: targets are {}, must be [n,6]: picture, class, cx, cy, w, h", op,
                     targets.defined() ? targets.str() : "undefined");
  }
  if (targets.dtype() != DType::kFloat32) {
    throw DTypeError("{}: targets are {}, must be float32", op, targets.str());
  }
}

void check_targets(std::string_view op, const Tensor& targets, int64_t pictures, int64_t classes) {
  check_target_shape(op, targets);
  for (int64_t row = 0; row < targets.size(0); ++row) {
    const float* t = targets.data<float>() + row * kColumns;
    for (int i = 0; i < kColumns; ++i) {
      if (!std::isfinite(t[i])) {
        throw ValueError("{}: target {}: column {} is {}, must be finite", op, row, i, t[i]);
      }
    }
    if (!is_index(t[kPicture], pictures)) {
      throw ValueError("{}: target {}: picture {} in a batch of {}", op, row, t[kPicture],
                       pictures);
    }
    if (!is_index(t[kClass], classes)) {
      throw ValueError("{}: target {}: class {}, the heads have {} classes (0 to {})", op, row,
                       t[kClass], classes, classes - 1);
    }
    for (int i = kX; i < kColumns; ++i) {
      if (t[i] < (i < kW ? -kRounding : 0) || t[i] > 1 + kRounding) {
        throw ValueError("{}: target {}: {} {} is outside 0..1", op, row,
                         i < kW ? "centre" : "side", t[i]);
      }
    }
  }
}

Tensor padded_targets(const Tensor& targets, int64_t capacity) {
  check_target_shape("padded_targets", targets);
  const int64_t rows = targets.size(0);
  if (rows > capacity) {
    throw ValueError("padded_targets: {} targets, there is room for {}", rows, capacity);
  }
  const Tensor padded = Tensor::full({capacity, kColumns}, -1);
  padded.slice(0, rows).copy_from(targets);
  return padded;
}

Tensor targets_on(Device device, const Tensor& targets) {
  if (device.is_cpu()) return targets;
  check_target_shape("targets_on", targets);
  return padded_targets(targets, std::max<int64_t>(targets.size(0), 1)).to(device);
}

std::vector<std::vector<Match>> assign_targets(const Tensor& targets,
                                               const std::vector<HeadDims>& heads,
                                               const Anchors& anchors, double anchor_t) {
  if (!(anchor_t > 1)) throw ValueError("anchor_t: must be > 1, got {}", anchor_t);
  if (heads.empty()) return {};
  check_targets("assign_targets", targets, heads[0].pictures, heads[0].classes());

  std::vector<std::vector<Match>> matches(heads.size());
  for (size_t k = 0; k < heads.size(); ++k) {
    const HeadDims& head = heads[k];
    if (head.cells() == 0) continue;
    for (int offset = 0; offset < kNumOffsets; ++offset) {
      for (int64_t anchor = 0; anchor < head.anchors; ++anchor) {
        const auto [anchor_w, anchor_h] = anchors.grid(k, size_t(anchor));
        for (int64_t row = 0; row < targets.size(0); ++row) {
          Match m;
          if (!match_target(targets.data<float>() + row * kColumns, offset, anchor, anchor_w,
                            anchor_h, float(anchor_t), head, m)) {
            continue;
          }
          m.target = row;
          matches[k].push_back(m);
        }
      }
    }
  }
  return matches;
}

}  // namespace ydistill
