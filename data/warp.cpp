// SPDX-License-Identifier: MIT
// The random map and its application to objects; gather.cpp applies it to pixels.
#include <ydistill/data/warp.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace ydistill {
namespace {

constexpr int kOutlinePoints = 1000;

struct WarpedBox {
  CornerBox box;
  bool is_empty = true;

  void add(const PixelPoint& at) {
    box.x1 = is_empty ? at[0] : std::min(box.x1, at[0]);
    box.y1 = is_empty ? at[1] : std::min(box.y1, at[1]);
    box.x2 = is_empty ? at[0] : std::max(box.x2, at[0]);
    box.y2 = is_empty ? at[1] : std::max(box.y2, at[1]);
    is_empty = false;
  }
};

CornerBox around_corners(const CornerBox& b, const WarpMap& map, double width, double height) {
  WarpedBox warped;
  for (const PixelPoint& corner : {PixelPoint{b.x1, b.y1}, PixelPoint{b.x2, b.y2},
                                   PixelPoint{b.x1, b.y2}, PixelPoint{b.x2, b.y1}}) {
    warped.add(map(corner[0], corner[1]));
  }
  const CornerBox& w = warped.box;
  return {std::clamp(w.x1, 0.0, width), std::clamp(w.y1, 0.0, height), std::clamp(w.x2, 0.0, width),
          std::clamp(w.y2, 0.0, height)};
}

/// The box around the mapped points that are inside the output, of kOutlinePoints points on the
/// closed outline, equally many on each of its sides.
CornerBox around_outline(const std::vector<PixelPoint>& outline, const WarpMap& map, double width,
                         double height) {
  WarpedBox warped;
  const size_t sides = outline.size();
  for (int i = 0; i < kOutlinePoints; ++i) {
    const double along = double(i) * double(sides) / (kOutlinePoints - 1);
    const size_t side = std::min(size_t(along), sides - 1);
    const double part = along - double(side);
    const PixelPoint& from = outline[side];
    const PixelPoint& to = outline[(side + 1) % sides];
    const PixelPoint at =
        map(from[0] + (to[0] - from[0]) * part, from[1] + (to[1] - from[1]) * part);
    if (at[0] >= 0 && at[1] >= 0 && at[0] <= width && at[1] <= height) warped.add(at);
  }
  return warped.box;
}

}  // namespace

PixelPoint WarpMap::operator()(double x, double y) const {
  const double u = m[0][0] * x + m[0][1] * y + m[0][2], v = m[1][0] * x + m[1][1] * y + m[1][2];
  if (!projects()) return {u, v};
  const double divisor = m[2][0] * x + m[2][1] * y + m[2][2];
  return {u / divisor, v / divisor};
}

WarpMap draw_warp_map(const AugmentOptions& options, Rng& rng, int64_t width, int64_t height,
                      int64_t out_width, int64_t out_height) {
  constexpr double kDegree = std::numbers::pi / 180;
  double tilt_x = 0, tilt_y = 0;
  if (options.perspective > 0) {
    tilt_x = rng.uniform(-options.perspective, options.perspective);
    tilt_y = rng.uniform(-options.perspective, options.perspective);
  }
  const double angle = rng.uniform(-options.degrees, options.degrees) * kDegree;
  const double scale = rng.uniform(1 - options.scale, 1 + options.scale);
  const double shear_x = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double shear_y = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double low = 0.5 - options.translate, high = 0.5 + options.translate;
  const double to_x = rng.uniform(low, high) * double(out_width);
  const double to_y = rng.uniform(low, high) * double(out_height);
  // R rotates counter-clockwise as displayed, with y downwards.
  const double cosine = scale * std::cos(angle), sine = scale * std::sin(angle);
  const double linear[2][2] = {{cosine - shear_x * sine, sine + shear_x * cosine},
                               {shear_y * cosine - sine, shear_y * sine + cosine}};
  const double from_x = double(width) / 2, from_y = double(height) / 2;
  WarpMap map;
  map.scale = scale;
  map.m[2][0] = tilt_x;
  map.m[2][1] = tilt_y;
  map.m[2][2] = 1 - tilt_x * from_x - tilt_y * from_y;
  for (int row = 0; row < 2; ++row) {
    const double to = row == 0 ? to_x : to_y;
    map.m[row][0] = linear[row][0] + to * tilt_x;
    map.m[row][1] = linear[row][1] + to * tilt_y;
    map.m[row][2] = to * map.m[2][2] - linear[row][0] * from_x - linear[row][1] * from_y;
  }
  return map;
}

WarpMap stretched(const WarpMap& map, double factor_x, double factor_y) {
  WarpMap result = map;
  for (int column = 0; column < 3; ++column) {
    const double divisor = map.m[2][column];
    result.m[0][column] = factor_x * map.m[0][column] + (factor_x - 1) / 2 * divisor;
    result.m[1][column] = factor_y * map.m[1][column] + (factor_y - 1) / 2 * divisor;
  }
  return result;
}

bool keep_label(const CornerBox& before, const CornerBox& after, double scale, double area_share) {
  constexpr double kMinSide = 2, kMaxAspect = 100, kTiny = 1e-16;
  const double before_area = (before.x2 - before.x1) * scale * ((before.y2 - before.y1) * scale);
  const double w = after.x2 - after.x1, h = after.y2 - after.y1;
  const double aspect = std::max(w / (h + kTiny), h / (w + kTiny));
  return w > kMinSide && h > kMinSide && w * h / (before_area + kTiny) > area_share &&
         aspect < kMaxAspect;
}

std::vector<PixelLabel> warp_labels(const std::vector<PixelLabel>& labels, const WarpMap& map,
                                    int64_t out_width, int64_t out_height) {
  const double width = double(out_width), height = double(out_height);
  std::vector<PixelLabel> kept;
  kept.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    const bool is_outlined = !label.outline.empty();
    const CornerBox after = is_outlined ? around_outline(label.outline, map, width, height)
                                        : around_corners(label.box, map, width, height);
    const double area_share = is_outlined ? kOutlineAreaShare : kBoxAreaShare;
    if (keep_label(label.box, after, map.scale, area_share))
      kept.push_back({label.class_id, after});
  }
  return kept;
}

}  // namespace ydistill
