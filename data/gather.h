// SPDX-License-Identifier: MIT
// What gather_math.h needs besides pictures: where output pixels lie on the canvas, the tables of a
// colour change, and the loop over a whole output.
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

/// Where the pixels of an output lie on the canvas that `map` maps to it; empty where the matrix is
/// singular.
/// Affine maps, in 1/1024 pixel: x and y of each column, then x and y of each row; the place of a
/// pixel is the sum of both. [2 (width + height)].
std::vector<int64_t> gather_steps(const WarpMap& map, int64_t width, int64_t height,
                                  const Flips& flips = {});
/// Any map, in homogeneous numbers of kProjectionBits: x, y and divisor of each column, then of
/// each row; their sums, divided. [3 (width + height)].
std::vector<int64_t> projective_steps(const WarpMap& map, int64_t width, int64_t height,
                                      const Flips& flips = {});

/// Tables of 256 entries for three factors.
HsvTables hsv_tables(double hue_gain, double saturation_gain, double value_gain);

/// On the CPU: all pixels of an output [height, width, 3]. data: one a layer.
void gather(const GatherSample& sample, const GatherLayerData* data, int64_t width, int64_t height,
            uint8_t* output);

}  // namespace ydistill
