// SPDX-License-Identifier: MIT
// A data set and a network small enough to train in a test.
#pragma once

#include <filesystem>
#include <string>

#include <fmt/format.h>

#include <ydistill/data/image.h>
#include <ydistill/tensor/random.h>

#include "support/files.h"

namespace ydistill::test {

/// Pictures of 64x64 with one bright rectangle each, class 0 wider than high, class 1 the other
/// way; YOLO layout: images/NAME.png, labels/NAME.txt.
inline void write_tiny_set(const std::filesystem::path& root, int count, uint64_t seed = 1) {
  std::filesystem::create_directories(root / "images");
  for (int i = 0; i < count; ++i) {
    Rng rng(seed, 0, uint64_t(i));
    Image image = Image::filled(64, 64, uint8_t(40 + rng.below(40)));
    const bool wide = i % 2 == 0;
    const int64_t w = wide ? 32 : 14, h = wide ? 14 : 32;
    const int64_t x0 = rng.below(64 - w), y0 = rng.below(64 - h);
    for (int64_t y = y0; y < y0 + h; ++y) {
      for (int64_t x = x0; x < x0 + w; ++x) {
        uint8_t* p = image.at(x, y);
        p[0] = 240;
        p[1] = p[2] = uint8_t(200 + rng.below(30));
      }
    }
    const std::string name = fmt::format("p{:03}", i);
    write_png(root / "images" / (name + ".png"), image);
    write_file(root / "labels" / (name + ".txt"),
               fmt::format("{} {} {} {} {}\n", wide ? 0 : 1, (double(x0) + double(w) / 2) / 64,
                           (double(y0) + double(h) / 2) / 64, double(w) / 64, double(h) / 64));
  }
}

/// A network with two scales, strides 8 and 16, of 24 and 32 channels.
inline const char* tiny_graph() {
  return R"({"nc": 2, "depth_multiple": 1, "width_multiple": 1,
  "anchors": [[14,14, 14,32, 32,14], [32,32, 40,20, 20,40]],
  "backbone": [[-1, 1, "Conv", [8, 6, 2, 2]], [-1, 1, "Conv", [16, 3, 2]], [-1, 1, "C3", [16]],
               [-1, 1, "Conv", [24, 3, 2]], [-1, 1, "Conv", [32, 3, 2]], [-1, 1, "SPPF", [32, 5]]],
  "head": [[-1, 1, "nn.Upsample", [null, 2, "nearest"]], [[-1, 3], 1, "Concat", [1]],
           [-1, 1, "C3", [24, false]], [[8, 5], 1, "Detect", ["nc", "anchors"]]]})";
}

/// The same as YOLOv5 writes it.
inline const char* tiny_graph_yaml() {
  return R"(# a comment
nc: 2  # number of classes
depth_multiple: 1.0
width_multiple: 1.0
activation: nn.SiLU()
anchors:
  - [14,14, 14,32, 32,14]  # P3/8
  - [32,32, 40,20, 20,40]  # P4/16
backbone:
  # [from, number, module, args]
  [[-1, 1, Conv, [8, 6, 2, 2]],
   [-1, 1, Conv, [16, 3, 2]],
   [-1, 1, C3, [16]],
   [-1, 1, Conv, [24, 3, 2]],
   [-1, 1, Conv, [32, 3, 2]],
   [-1, 1, SPPF, [32, 5]],
  ]
head:
  [[-1, 1, nn.Upsample, [None, 2, 'nearest']],
   [[-1, 3], 1, Concat, [1]],
   [-1, 1, C3, [24, False]],
   [[8, 5], 1, Detect, [nc, anchors]],
  ]
)";
}

/// The same with twice as many channels: a teacher whose features are others.
inline std::string wide_tiny_graph() {
  std::string graph = tiny_graph();
  const std::string width = "\"width_multiple\": 1";
  return graph.replace(graph.find(width), width.size(), "\"width_multiple\": 2");
}

}  // namespace ydistill::test
