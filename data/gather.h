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

/// Where the pixels of an output lie on the canvas that `affine` maps to it, in 1/1024 pixel: first
/// x and y of each column, then x and y of each row; the place of a pixel is the sum of both.
/// [2 (width + height)]. Empty where the matrix is singular.
std::vector<int64_t> gather_steps(const Affine& affine, int64_t width, int64_t height,
                                  const Flips& flips = {});

/// Tables of 256 entries for three factors.
HsvTables hsv_tables(double hue_gain, double saturation_gain, double value_gain);

/// On the CPU: all pixels of an output [height, width, 3].
void gather(const GatherSample& sample, const int64_t* steps, int64_t width, int64_t height,
            uint8_t* output);

}  // namespace ydistill
