// SPDX-License-Identifier: MIT
// What gather_math.h needs besides pictures: positions of the output pixels on the canvas, tables
// of a colour change, and the loop over a whole output.
#pragma once

#include <cstdint>
#include <vector>

#include <ydistill/data/augment.h>
#include <ydistill/data/gather_math.h>

namespace ydistill {

struct Flips {
  bool up = false;    ///< upside down
  bool left = false;  ///< left to right
};

/// Positions of the output's pixels on the canvas, by the inverse of `map`; empty if the matrix is
/// singular.
/// Affine maps, in 1/1024 pixel: x of each column, y of each column, x of each row, y of each row;
/// a pixel's position is the sum of its column's and its row's. [2 (width + height)].
std::vector<int64_t> gather_steps(const WarpMap& map, int64_t width, int64_t height,
                                  const Flips& flips = {});
/// Any map, in homogeneous coordinates of kProjectionBits: x, y and divisor of each column, then of
/// each row; a position is sum of x / sum of divisor, y alike. [3 (width + height)].
std::vector<int64_t> projective_steps(const WarpMap& map, int64_t width, int64_t height,
                                      const Flips& flips = {});

/// The tables of 256 entries for these three factors.
HsvTables hsv_tables(double hue_gain, double saturation_gain, double value_gain);

/// Computes all pixels of an output [height, width, 3] on the CPU. data: one per layer.
void gather(const GatherSample& sample, const GatherLayerData* data, int64_t width, int64_t height,
            uint8_t* output);

}  // namespace ydistill
