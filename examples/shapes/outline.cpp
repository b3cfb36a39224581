// SPDX-License-Identifier: MIT
#include <ydistill/examples/shapes/outline.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ydistill::shapes {

namespace {

constexpr double kTwoPi = 2 * std::numbers::pi;

// Order of kClassNames.
enum ClassId : int64_t { kCircle, kTriangle, kStar, kCross, kRing, kSquare, kPentagon, kCrescent };

constexpr double kRingWidth = 0.34;   // share of the radius
constexpr double kBiteShift = 0.45;   // crescent: the bite's centre, share of the radius
constexpr double kBiteRadius = 0.78;  // crescent: the bite's radius, share of the radius
constexpr double kStarWaist = 0.45;   // star: inner corners, share of the radius
constexpr double kCrossArm = 0.36;    // cross: half the arm's width, share of its length

std::vector<Point> regular(int sides, double radius) {
  std::vector<Point> corners;
  for (int i = 0; i < sides; ++i) {
    corners.push_back(
        {radius * std::cos(kTwoPi * i / sides), radius * std::sin(kTwoPi * i / sides)});
  }
  return corners;
}

std::vector<Point> star(double radius) {
  std::vector<Point> corners = regular(10, radius);
  for (size_t i = 1; i < corners.size(); i += 2) {
    corners[i].x *= kStarWaist;
    corners[i].y *= kStarWaist;
  }
  return corners;
}

std::vector<Point> cross(double radius) {
  // The arm's corners lie on the circle.
  const double length = radius / std::hypot(1.0, kCrossArm), half = kCrossArm * length;
  return {{length, -half}, {length, half},   {half, half},    {half, length},
          {-half, length}, {-half, half},    {-length, half}, {-length, -half},
          {-half, -half},  {-half, -length}, {half, -length}, {half, -half}};
}

std::vector<Point> corners_of(int64_t class_id, double radius) {
  switch (class_id) {
    case kSquare:
      return regular(4, radius);
    case kTriangle:
      return regular(3, radius);
    case kPentagon:
      return regular(5, radius);
    case kStar:
      return star(radius);
    case kCross:
      return cross(radius);
    default:
      return {};
  }
}

double length(double x, double y) {
  return std::hypot(x, y);
}

/// Smallest distance to the edges; the sign is given by how often a ray to the right crosses them.
double polygon_distance(Point p, const std::vector<Point>& corners) {
  double least = std::numeric_limits<double>::infinity();
  bool inside = false;
  for (size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    const Point a = corners[i], b = corners[j];
    const double ex = b.x - a.x, ey = b.y - a.y, px = p.x - a.x, py = p.y - a.y;
    const double t = std::clamp((px * ex + py * ey) / (ex * ex + ey * ey), 0.0, 1.0);
    least = std::min(least, length(px - t * ex, py - t * ey));
    if ((a.y > p.y) != (b.y > p.y) && p.x < a.x + ex * (p.y - a.y) / ey) inside = !inside;
  }
  return inside ? -least : least;
}

}  // namespace

Outline::Outline(int64_t class_id, Point center, double radius, double turn, double squeeze)
    : class_id_(class_id),
      center_(center),
      radius_(radius),
      cos_(std::cos(turn)),
      sin_(std::sin(turn)),
      squeeze_(squeeze),
      corners_(corners_of(class_id, radius)),
      bounds_(measure()) {}

Point Outline::to_local(Point p) const {
  const double x = p.x - center_.x, y = p.y - center_.y;
  return {cos_ * x + sin_ * y, (cos_ * y - sin_ * x) / squeeze_};
}

Point Outline::to_picture(Point p) const {
  const double x = p.x, y = p.y * squeeze_;
  return {center_.x + cos_ * x - sin_ * y, center_.y + sin_ * x + cos_ * y};
}

double Outline::local_distance(Point p) const {
  const double from_center = length(p.x, p.y);
  switch (class_id_) {
    case kCircle:
      return from_center - radius_;
    case kRing: {
      const double half = 0.5 * kRingWidth * radius_;
      return std::abs(from_center - (radius_ - half)) - half;
    }
    case kCrescent: {
      const double bite = length(p.x - kBiteShift * radius_, p.y) - kBiteRadius * radius_;
      return std::max(from_center - radius_, -bite);
    }
    default:
      return polygon_distance(p, corners_);
  }
}

double Outline::distance(Point p) const {
  return local_distance(to_local(p)) * std::min(1.0, squeeze_);
}

Box Outline::measure() const {
  std::vector<Point> edge = corners_;
  if (edge.empty()) {
    // Points around the circle; of the crescent only those outside the bite.
    for (const Point& p : regular(360, radius_)) {
      const bool bitten =
          class_id_ == kCrescent && length(p.x - kBiteShift * radius_, p.y) < kBiteRadius * radius_;
      if (!bitten) edge.push_back(p);
    }
  }
  constexpr double kInf = std::numeric_limits<double>::infinity();
  Box box{kInf, kInf, -kInf, -kInf};
  for (const Point& local : edge) {
    const Point p = to_picture(local);
    box.x1 = std::min(box.x1, p.x);
    box.y1 = std::min(box.y1, p.y);
    box.x2 = std::max(box.x2, p.x);
    box.y2 = std::max(box.y2, p.y);
  }
  return box;
}

}  // namespace ydistill::shapes
