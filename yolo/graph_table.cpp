// SPDX-License-Identifier: MIT
// The graphs of the public releases, as data.
#include <ydistill/yolo/graph_table.h>

#include <string_view>

namespace ydistill {
namespace {

// Both releases have the same head; layer 9 of v5.0 is the C3 that v6 moved to layer 8.
constexpr const char* kHead = R"(
  "head": [[-1, 1, "Conv", [512, 1, 1]],
           [-1, 1, "nn.Upsample", [null, 2, "nearest"]],
           [[-1, 6], 1, "Concat", [1]],
           [-1, 3, "C3", [512, false]],
           [-1, 1, "Conv", [256, 1, 1]],
           [-1, 1, "nn.Upsample", [null, 2, "nearest"]],
           [[-1, 4], 1, "Concat", [1]],
           [-1, 3, "C3", [256, false]],
           [-1, 1, "Conv", [256, 3, 2]],
           [[-1, 14], 1, "Concat", [1]],
           [-1, 3, "C3", [512, false]],
           [-1, 1, "Conv", [512, 3, 2]],
           [[-1, 10], 1, "Concat", [1]],
           [-1, 3, "C3", [1024, false]],
           [[17, 20, 23], 1, "Detect", ["nc", "anchors"]]])";

constexpr const char* kBackboneV5 = R"(
  "backbone": [[-1, 1, "Focus", [64, 3]],
               [-1, 1, "Conv", [128, 3, 2]],
               [-1, 3, "C3", [128]],
               [-1, 1, "Conv", [256, 3, 2]],
               [-1, 9, "C3", [256]],
               [-1, 1, "Conv", [512, 3, 2]],
               [-1, 9, "C3", [512]],
               [-1, 1, "Conv", [1024, 3, 2]],
               [-1, 1, "SPP", [1024, [5, 9, 13]]],
               [-1, 3, "C3", [1024, false]]])";

constexpr const char* kBackboneV6 = R"(
  "backbone": [[-1, 1, "Conv", [64, 6, 2, 2]],
               [-1, 1, "Conv", [128, 3, 2]],
               [-1, 3, "C3", [128]],
               [-1, 1, "Conv", [256, 3, 2]],
               [-1, 6, "C3", [256]],
               [-1, 1, "Conv", [512, 3, 2]],
               [-1, 9, "C3", [512]],
               [-1, 1, "Conv", [1024, 3, 2]],
               [-1, 3, "C3", [1024]],
               [-1, 1, "SPPF", [1024, 5]]])";

constexpr const char* kAnchors =
    R"("anchors": [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119], [116,90, 156,198, 373,326]])";

// The networks with a fourth head, of stride 64, for pictures of 1280 pixels. Layer 11 of v5.0 is
// the C3 that v6 moved to layer 10.
constexpr const char* kHeadP6 = R"(
  "head": [[-1, 1, "Conv", [768, 1, 1]],
           [-1, 1, "nn.Upsample", [null, 2, "nearest"]],
           [[-1, 8], 1, "Concat", [1]],
           [-1, 3, "C3", [768, false]],
           [-1, 1, "Conv", [512, 1, 1]],
           [-1, 1, "nn.Upsample", [null, 2, "nearest"]],
           [[-1, 6], 1, "Concat", [1]],
           [-1, 3, "C3", [512, false]],
           [-1, 1, "Conv", [256, 1, 1]],
           [-1, 1, "nn.Upsample", [null, 2, "nearest"]],
           [[-1, 4], 1, "Concat", [1]],
           [-1, 3, "C3", [256, false]],
           [-1, 1, "Conv", [256, 3, 2]],
           [[-1, 20], 1, "Concat", [1]],
           [-1, 3, "C3", [512, false]],
           [-1, 1, "Conv", [512, 3, 2]],
           [[-1, 16], 1, "Concat", [1]],
           [-1, 3, "C3", [768, false]],
           [-1, 1, "Conv", [768, 3, 2]],
           [[-1, 12], 1, "Concat", [1]],
           [-1, 3, "C3", [1024, false]],
           [[23, 26, 29, 32], 1, "Detect", ["nc", "anchors"]]])";

constexpr const char* kBackboneV5P6 = R"(
  "backbone": [[-1, 1, "Focus", [64, 3]],
               [-1, 1, "Conv", [128, 3, 2]],
               [-1, 3, "C3", [128]],
               [-1, 1, "Conv", [256, 3, 2]],
               [-1, 9, "C3", [256]],
               [-1, 1, "Conv", [512, 3, 2]],
               [-1, 9, "C3", [512]],
               [-1, 1, "Conv", [768, 3, 2]],
               [-1, 3, "C3", [768]],
               [-1, 1, "Conv", [1024, 3, 2]],
               [-1, 1, "SPP", [1024, [3, 5, 7]]],
               [-1, 3, "C3", [1024, false]]])";

constexpr const char* kBackboneV6P6 = R"(
  "backbone": [[-1, 1, "Conv", [64, 6, 2, 2]],
               [-1, 1, "Conv", [128, 3, 2]],
               [-1, 3, "C3", [128]],
               [-1, 1, "Conv", [256, 3, 2]],
               [-1, 6, "C3", [256]],
               [-1, 1, "Conv", [512, 3, 2]],
               [-1, 9, "C3", [512]],
               [-1, 1, "Conv", [768, 3, 2]],
               [-1, 3, "C3", [768]],
               [-1, 1, "Conv", [1024, 3, 2]],
               [-1, 3, "C3", [1024]],
               [-1, 1, "SPPF", [1024, 5]]])";

constexpr const char* kAnchorsP6 =
    R"("anchors": [[19,27, 44,40, 38,94], [96,68, 86,152, 180,137], [140,301, 303,264, 238,542],
                   [436,615, 739,380, 925,792]])";

/// The common part of a release's sizes.
struct Family {
  const char* suffix;  // of the name, after the size
  const char* anchors;
  const char* backbone;
  const char* head;
  bool has_n;  // v5.0 was released as s, m, l and x
};
constexpr Family kFamilies[] = {{"", kAnchors, kBackboneV6, kHead, true},
                                {"-v5", kAnchors, kBackboneV5, kHead, false},
                                {"6", kAnchorsP6, kBackboneV6P6, kHeadP6, true},
                                {"6-v5", kAnchorsP6, kBackboneV5P6, kHeadP6, false}};

struct Size {
  const char* letter;
  const char* depth;
  const char* width;
};
constexpr Size kSizes[] = {{"n", "0.33", "0.25"},
                           {"s", "0.33", "0.50"},
                           {"m", "0.67", "0.75"},
                           {"l", "1.0", "1.0"},
                           {"x", "1.33", "1.25"}};

std::string text_of(const Size& size, const Family& family) {
  return std::string("{\"nc\": 80, \"depth_multiple\": ") + size.depth +
         ", \"width_multiple\": " + size.width + ",\n  " + family.anchors + "," + family.backbone +
         "," + family.head + "}";
}

}  // namespace

std::vector<NamedGraph> release_graphs() {
  std::vector<NamedGraph> graphs;
  for (const Size& size : kSizes) {
    for (const Family& family : kFamilies) {
      if (!family.has_n && std::string_view(size.letter) == "n") continue;
      graphs.push_back(
          {std::string("yolov5") + size.letter + family.suffix, text_of(size, family)});
    }
  }
  return graphs;
}

}  // namespace ydistill
