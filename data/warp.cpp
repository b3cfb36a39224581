// SPDX-License-Identifier: MIT
// The random affine map and what it does to boxes; gather.cpp does it to pixels.
#include <algorithm>
#include <cmath>
#include <numbers>

#include <ydistill/data/augment.h>

namespace ydistill {

Affine draw_affine(const AugmentOptions& options, Rng& rng, int64_t width, int64_t height,
                   int64_t out_width, int64_t out_height) {
  constexpr double kDegree = std::numbers::pi / 180;
  const double angle = rng.uniform(-options.degrees, options.degrees) * kDegree;
  const double scale = rng.uniform(1 - options.scale, 1 + options.scale);
  const double shear_x = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double shear_y = std::tan(rng.uniform(-options.shear, options.shear) * kDegree);
  const double low = 0.5 - options.translate, high = 0.5 + options.translate;
  const double to_x = rng.uniform(low, high) * double(out_width);
  const double to_y = rng.uniform(low, high) * double(out_height);
  // R turns counter-clockwise on the screen, where y points down.
  const double cosine = scale * std::cos(angle), sine = scale * std::sin(angle);
  const double linear[2][2] = {{cosine - shear_x * sine, sine + shear_x * cosine},
                               {shear_y * cosine - sine, shear_y * sine + cosine}};
  const double from_x = double(width) / 2, from_y = double(height) / 2;
  Affine affine;
  affine.scale = scale;
  for (int row = 0; row < 2; ++row) {
    affine.m[row][0] = linear[row][0];
    affine.m[row][1] = linear[row][1];
    affine.m[row][2] = (row == 0 ? to_x : to_y) - linear[row][0] * from_x - linear[row][1] * from_y;
  }
  return affine;
}

bool keep_label(const CornerBox& before, const CornerBox& after, double scale) {
  constexpr double kMinSide = 2, kMinAreaShare = 0.1, kMaxAspect = 100, kTiny = 1e-16;
  const double before_area = (before.x2 - before.x1) * scale * ((before.y2 - before.y1) * scale);
  const double w = after.x2 - after.x1, h = after.y2 - after.y1;
  const double aspect = std::max(w / (h + kTiny), h / (w + kTiny));
  return w > kMinSide && h > kMinSide && w * h / (before_area + kTiny) > kMinAreaShare &&
         aspect < kMaxAspect;
}

std::vector<PixelLabel> warp_labels(const std::vector<PixelLabel>& labels, const Affine& affine,
                                    int64_t out_width, int64_t out_height) {
  std::vector<PixelLabel> kept;
  kept.reserve(labels.size());
  for (const PixelLabel& label : labels) {
    const CornerBox& b = label.box;
    const double corners[4][2] = {{b.x1, b.y1}, {b.x2, b.y2}, {b.x1, b.y2}, {b.x2, b.y1}};
    double low[2], high[2];
    for (int axis = 0; axis < 2; ++axis) {
      const double* m = affine.m[axis];
      const double limit = double(axis == 0 ? out_width : out_height);
      low[axis] = high[axis] = m[0] * corners[0][0] + m[1] * corners[0][1] + m[2];
      for (int i = 1; i < 4; ++i) {
        const double at = m[0] * corners[i][0] + m[1] * corners[i][1] + m[2];
        low[axis] = std::min(low[axis], at);
        high[axis] = std::max(high[axis], at);
      }
      low[axis] = std::clamp(low[axis], 0.0, limit);
      high[axis] = std::clamp(high[axis], 0.0, limit);
    }
    const CornerBox after{low[0], low[1], high[0], high[1]};
    if (keep_label(b, after, affine.scale)) kept.push_back({label.class_id, after});
  }
  return kept;
}

}  // namespace ydistill
