// SPDX-License-Identifier: MIT
// One picture of the shapes data set with its boxes.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

#include <ydistill/data/image.h>

namespace ydistill::shapes {

/// Classes by id. The class depends only on the outline; colour, fill, size, rotation are random.
inline constexpr std::array<std::string_view, 8> kClassNames{
    "circle", "triangle", "star", "cross", "ring", "square", "pentagon", "crescent"};

/// A box as fractions of the picture, as YOLO text labels have it.
struct LabelledBox {
  int64_t class_id = 0;
  double cx = 0, cy = 0, w = 0, h = 0;
};

struct Scene {
  Image image;
  std::vector<LabelledBox> boxes;  ///< 1 to 6
};

enum class Split : uint32_t { kTrain, kVal };

/// Picture number `index` of a split, `size` x `size` pixels, with the first num_classes of
/// kClassNames; it depends only on the arguments.
/// throws ValueError for a size outside 32..4096 or classes outside 1..8.
Scene draw_scene(uint64_t seed, Split split, uint64_t index, int64_t size, int64_t num_classes);

}  // namespace ydistill::shapes
