// SPDX-License-Identifier: MIT
// The random map from a canvas to a training sample, and its application to pictures and objects.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ydistill/data/augment_options.h>
#include <ydistill/data/image.h>
#include <ydistill/data/letterbox.h>
#include <ydistill/tensor/random.h>

namespace ydistill {

/// A point in pixels of the current picture (canvas, frame or output).
using PixelPoint = std::array<double, 2>;

/// An object in pixels of the current picture.
struct PixelLabel {
  int64_t class_id = 0;
  CornerBox box;
  std::vector<PixelPoint> outline = {};  ///< empty: unknown
};

/// Output position = (u / d, v / d), (u, v, d) = m * (x, y, 1) of an input position.
struct WarpMap {
  double m[3][3] = {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}};
  double scale = 1;  ///< the drawn size factor, for keep_label

  bool projects() const { return m[2][0] != 0 || m[2][1] != 0 || m[2][2] != 1; }
  PixelPoint operator()(double x, double y) const;
};

/// T S R P C, right to left: the input's centre to the origin (C), perspective (P), rotation and
/// scale (R), shear (S), then to the output's centre +- translate (T). Draws two random numbers for
/// perspective, if it is above 0, then six.
WarpMap draw_warp_map(const AugmentOptions& options, Rng& rng, int64_t width, int64_t height,
                      int64_t out_width, int64_t out_height);

/// The map followed by a resize by these factors that aligns corners: its pixel centres are at half
/// integers. `scale` is unchanged.
WarpMap stretched(const WarpMap& map, double factor_x, double factor_y);

/// Bilinear, grey outside, with OpenCV's conventions: pixel centres at integers, positions rounded
/// to 1/32 pixel. output [out_height, out_width, 3]. A singular matrix gives grey.
void warp_image(const Image& image, const WarpMap& map, int64_t out_width, int64_t out_height,
                uint8_t* output);

/// The objects in the output: boxes around the mapped corners, clipped; for an object with an
/// outline, the box around those of its points (resampled to 1000) that are inside. Objects that
/// keep_label rejects are left out. Outlines are dropped.
std::vector<PixelLabel> warp_labels(const std::vector<PixelLabel>& labels, const WarpMap& map,
                                    int64_t out_width, int64_t out_height);

inline constexpr double kBoxAreaShare = 0.1;       ///< of keep_label, for boxes
inline constexpr double kOutlineAreaShare = 0.01;  ///< for outlines, whose boxes are tight

/// YOLOv5's rule (box_candidates): after the warp wider and higher than 2 px, area more than
/// area_share of the area before times scale^2, and aspect ratio below 100.
bool keep_label(const CornerBox& before, const CornerBox& after, double scale,
                double area_share = kBoxAreaShare);

}  // namespace ydistill
