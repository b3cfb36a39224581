// SPDX-License-Identifier: MIT
// Outlines as signed distances in pixels, negative inside, so that one clamp smooths an edge. They
// use the common formulas for distances to circles and polygons.
#pragma once

#include <cstdint>
#include <vector>

namespace ydistill::shapes {

struct Point {
  double x = 0, y = 0;
};

/// Pixels x1..x2, y1..y2, as real numbers.
struct Box {
  double x1 = 0, y1 = 0, x2 = 0, y2 = 0;
};

/// A shape of a class at a position, rotated and squeezed.
class Outline {
 public:
  /// radius: of the circle around the shape before squeezing, pixels.
  Outline(int64_t class_id, Point center, double radius, double turn, double squeeze);

  /// Distance from `p` to the edge; approximate, because squeezing does not preserve distances.
  double distance(Point p) const;
  /// Tight around the whole shape, including parts outside the picture.
  Box bounds() const { return bounds_; }

 private:
  double local_distance(Point p) const;
  Point to_local(Point p) const;
  Point to_picture(Point p) const;
  Box measure() const;

  int64_t class_id_;
  Point center_;
  double radius_, cos_, sin_, squeeze_;
  std::vector<Point> corners_;  ///< local, of polygons
  Box bounds_;
};

}  // namespace ydistill::shapes
