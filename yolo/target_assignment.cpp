// SPDX-License-Identifier: MIT
#include <ydistill/yolo/target_assignment.h>

#include <algorithm>
#include <cmath>

namespace ydistill {
namespace {

constexpr int kPicture = 0, kClass = 1, kX = 2, kW = 4, kColumns = 6;
constexpr float kRounding = 1e-3f;  // of the labels' text form and of clipping

struct Offset {
  float x, y;
};
constexpr Offset kOffsets[] = {{0, 0}, {0.5f, 0}, {0, 0.5f}, {-0.5f, 0}, {0, -0.5f}};

bool is_index(float value, int64_t count) {
  return value >= 0 && value < float(count) && value == std::floor(value);
}

/// True where the centre lies in the half of its cell next to a lower neighbour that exists.
bool near_lower(float position) {
  return position - std::floor(position) < 0.5f && position > 1;
}

/// Whether a target with this centre goes to the neighbour of number `offset`.
bool takes(int offset, float x, float y, const HeadDims& head) {
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

bool similar(float side, double anchor, float anchor_t) {
  const float ratio = side / float(anchor);
  return std::max(ratio, 1 / ratio) < anchor_t;
}

}  // namespace

void check_targets(std::string_view op, const Tensor& targets, int64_t pictures, int64_t classes) {
  if (!targets.defined() || targets.rank() != 2 || targets.size(1) != kColumns) {
    throw ShapeError("{}: targets are {}, must be [n,6]: picture, class, cx, cy, w, h", op,
                     targets.defined() ? targets.str() : "undefined");
  }
  if (targets.dtype() != DType::kFloat32) {
    throw DTypeError("{}: targets are {}, must be float32", op, targets.str());
  }
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
    for (int offset = 0; offset < 5; ++offset) {
      for (int64_t anchor = 0; anchor < head.anchors; ++anchor) {
        const auto [anchor_w, anchor_h] = anchors.grid(k, size_t(anchor));
        for (int64_t row = 0; row < targets.size(0); ++row) {
          const float* t = targets.data<float>() + row * kColumns;
          const float x = t[kX] * float(head.columns), y = t[kX + 1] * float(head.rows);
          const float w = t[kW] * float(head.columns), h = t[kW + 1] * float(head.rows);
          if (!similar(w, anchor_w, float(anchor_t)) || !similar(h, anchor_h, float(anchor_t))) {
            continue;
          }
          if (!takes(offset, x, y, head)) continue;
          Match m;
          m.picture = int64_t(t[kPicture]);
          m.class_id = int64_t(t[kClass]);
          m.anchor = anchor;
          m.column = std::clamp<int64_t>(int64_t(x - kOffsets[offset].x), 0, head.columns - 1);
          m.row = std::clamp<int64_t>(int64_t(y - kOffsets[offset].y), 0, head.rows - 1);
          m.x = double(t[kX]) * double(head.columns) - double(m.column);
          m.y = double(t[kX + 1]) * double(head.rows) - double(m.row);
          m.w = double(t[kW]) * double(head.columns);
          m.h = double(t[kW + 1]) * double(head.rows);
          m.anchor_w = anchor_w;
          m.anchor_h = anchor_h;
          m.target = row;
          matches[k].push_back(m);
        }
      }
    }
  }
  return matches;
}

}  // namespace ydistill
