// SPDX-License-Identifier: MIT
// Outlines of objects that a file gives in several pieces.
#pragma once

#include <array>
#include <vector>

namespace ydistill {

using Polygon = std::vector<std::array<float, 2>>;

/// One outline around all pieces (each of three points or more). Starts with the first piece; every
/// other one is inserted where it is nearest to the outline so far, by a line of zero width that
/// runs there and back. Filled by the even-odd or the nonzero rule it covers the area of the
/// pieces. Ultralytics' merge_multi_segment does the same for YOLO labels, but joins a piece only
/// to its neighbours in the list.
Polygon join_outlines(std::vector<Polygon> pieces);

}  // namespace ydistill
