// SPDX-License-Identifier: MIT
// Assigns targets to the boxes of the heads (YOLOv5 utils/loss.py, build_targets; v5.0 and v7.0
// agree).
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <ydistill/tensor/tensor.h>
#include <ydistill/yolo/anchors.h>

namespace ydistill {

/// One box of a head that has to predict one target.
struct Match {
  int64_t picture = 0, anchor = 0, row = 0, column = 0, class_id = 0;
  /// The target in cells: size, and centre relative to the upper left corner of cell (row, column),
  /// in (-0.5, 1.5) except for centres on the picture's right or lower edge.
  double x = 0, y = 0, w = 0, h = 0;
  double anchor_w = 0, anchor_h = 0;  ///< in cells
  int64_t target = 0;                 ///< row of the targets
};

/// throws, naming `op`: ShapeError unless targets are [n, 6]; DTypeError unless float32.
void check_target_shape(std::string_view op, const Tensor& targets);
/// The same and, for targets in the CPU's memory, naming the row: ValueError for a number that is
/// not finite, a picture outside 0..pictures-1, a class outside 0..classes-1, a centre outside 0..1
/// or a side outside 0..1 (with a tolerance for rounding).
void check_targets(std::string_view op, const Tensor& targets, int64_t pictures, int64_t classes);

/// The targets followed by rows of -1 up to `capacity`: for losses on a GPU, where sizes must not
/// change between steps. A negative picture marks a row that is no target.
/// throws    as check_target_shape; ValueError if there are more than `capacity` targets.
Tensor padded_targets(const Tensor& targets, int64_t capacity);

/// Targets for losses on `device`: on the CPU unchanged, on a GPU a copy there with at least one
/// row.
Tensor targets_on(Device device, const Tensor& targets);

/// targets   float32 [n, 6]: picture, class, centre x, centre y, width, height, 0..1 of the input.
/// heads     sizes of the heads, from check_heads.
/// anchor_t  an anchor matches if both sides differ from the target's by a factor below this.
/// returns   one list per head. A target is assigned to the cell that contains its centre, and to
/// the
///           neighbours left or right and above or below whose border is nearer than half a cell,
///           for every matching anchor. Order: own cell, left, up, right, down; then anchor;
///           then target. Cells are clamped to the grid (a centre at 1.0 belongs to the last one).
/// Whether a centre is near a border is decided in float32, as in the original.
/// throws    as check_targets; ValueError unless anchor_t > 1.
std::vector<std::vector<Match>> assign_targets(const Tensor& targets,
                                               const std::vector<HeadDims>& heads,
                                               const Anchors& anchors, double anchor_t = 4);

}  // namespace ydistill
