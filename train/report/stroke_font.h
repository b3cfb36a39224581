// SPDX-License-Identifier: MIT
// A font of strokes, drawn for this project: letters of any size, without a font file.
#pragma once

#include <string_view>
#include <vector>

namespace ydistill {

struct Point {
  double x = 0, y = 0;
};
using Stroke = std::vector<Point>;

struct LaidOutText {
  std::vector<Stroke> strokes;  ///< capitals reach from y = 0 down to 1; descenders to 1.34
  double width = 0;             ///< in units of a capital's height
};

/// Text on one line from x = 0, in units of a capital's height. Printable ASCII; any other
/// character is shown as `?`.
LaidOutText lay_out(std::string_view text);

}  // namespace ydistill
