// SPDX-License-Identifier: MIT
// Outlines of objects that a file gives in several pieces.
#pragma once

#include <array>
#include <vector>

namespace ydistill {

using Polygon = std::vector<std::array<float, 2>>;

/// One outline around all pieces (each of three points or more): the first, with every other one
/// hung in where it comes nearest to what is there already, along a line of no width that runs out
/// and back. Filled by the even-odd or the nonzero rule it covers what the pieces cover. This is
/// what Ultralytics' merge_multi_segment does for YOLO labels, but pieces may join anywhere, not
/// only to their neighbour in the list.
Polygon join_outlines(std::vector<Polygon> pieces);

}  // namespace ydistill
