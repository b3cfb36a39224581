// SPDX-License-Identifier: MIT
// The pixels of an outlined object, as OpenCV fills a contour (drawContours, filled).
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <ydistill/data/warp.h>

namespace ydistill {

/// Calls `set` for each pixel of a picture of this size that is inside the closed outline (even-odd
/// rule) or on its border; for some pixels more than once. Points are first truncated to whole
/// pixels.
void fill_outline(const std::vector<PixelPoint>& outline, int64_t width, int64_t height,
                  const std::function<void(int64_t x, int64_t y)>& set);

}  // namespace ydistill
