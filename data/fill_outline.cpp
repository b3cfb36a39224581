// SPDX-License-Identifier: MIT
#include <ydistill/data/fill_outline.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace ydistill {
namespace {

using Pixel = std::array<int64_t, 2>;

/// The pixels of a side: one per step along its longer axis; ties round towards the left end, as in
/// OpenCV's lines.
template <class Set>
void draw_side(Pixel from, Pixel to, const Set& set) {
  if (to[0] < from[0]) std::swap(from, to);
  const int64_t dx = to[0] - from[0], dy = to[1] - from[1];
  const int64_t steps = std::max(dx, std::abs(dy));
  const auto moved = [&](int64_t distance, int64_t i) {
    const int64_t doubled = 2 * i * std::abs(distance) - steps;  // i / steps of it, less a half
    const int64_t whole = doubled <= 0 ? 0 : (doubled + 2 * steps - 1) / (2 * steps);
    return distance < 0 ? -whole : whole;
  };
  for (int64_t i = 0; i <= steps; ++i) set(from[0] + moved(dx, i), from[1] + moved(dy, i));
}

}  // namespace

void fill_outline(const std::vector<PixelPoint>& outline, int64_t width, int64_t height,
                  const std::function<void(int64_t x, int64_t y)>& set) {
  const auto set_inside = [&](int64_t x, int64_t y) {
    if (x >= 0 && x < width && y >= 0 && y < height) set(x, y);
  };
  std::vector<Pixel> points;
  int64_t low = height, high = 0;
  for (const PixelPoint& point : outline) {
    points.push_back({int64_t(point[0]), int64_t(point[1])});
    low = std::min(low, points.back()[1]);
    high = std::max(high, points.back()[1]);
  }
  const size_t count = points.size();
  for (size_t i = 0; i < count; ++i) draw_side(points[i], points[(i + 1) % count], set_inside);
  std::vector<double> crossings;
  for (int64_t y = std::max<int64_t>(low, 0); y < std::min(high, height); ++y) {
    crossings.clear();
    for (size_t i = 0; i < count; ++i) {
      const Pixel& a = points[i];
      const Pixel& b = points[(i + 1) % count];
      if ((a[1] <= y) == (b[1] <= y)) continue;
      crossings.push_back(double(a[0]) +
                          double(y - a[1]) * double(b[0] - a[0]) / double(b[1] - a[1]));
    }
    std::sort(crossings.begin(), crossings.end());
    for (size_t i = 0; i + 1 < crossings.size(); i += 2) {
      const int64_t end = std::min(int64_t(std::floor(crossings[i + 1])), width - 1);
      for (int64_t x = std::max<int64_t>(int64_t(std::ceil(crossings[i])), 0); x <= end; ++x)
        set(x, y);
    }
  }
}

}  // namespace ydistill
