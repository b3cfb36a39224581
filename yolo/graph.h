// SPDX-License-Identifier: MIT
// The structure of a YOLOv5 network, without weights.
//
// The format is that of YOLOv5's model files: a list of modules [from, repeats, type, arguments], a
// depth and a width multiple, anchors. All sizes n/s/m/l/x of a release are the same list with
// other multiples. JSON with the same keys describes a custom network:
//
//   {"nc": 80, "depth_multiple": 0.33, "width_multiple": 0.5,
//    "anchors": [[10,13, 16,30, 33,23], [30,61, 62,45, 59,119], [116,90, 156,198, 373,326]],
//    "backbone": [[-1, 1, "Conv", [64, 6, 2, 2]], ...], "head": [..., [[17,20,23], 1, "Detect",
//    ["nc", "anchors"]]]}
//
// "anchors" may be a number per scale; the anchors are then squares of the scale's size, which
// training replaces by fitted ones unless train.autoanchor is off. YOLOv5's own files
// (models/*.yaml) are read directly if they have only the types below.
//
// Types: Conv, Focus, Bottleneck, C3, SPP, SPPF, nn.Upsample, Concat, Detect.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/yolo/anchors.h>

namespace ydistill {

enum class LayerType : uint8_t {
  kConv,
  kFocus,
  kBottleneck,
  kC3,
  kSpp,
  kUpsample,
  kConcat,
  kDetect
};

/// One module, after applying the multiples.
struct LayerSpec {
  LayerType type = LayerType::kConv;
  std::string type_name;             ///< as in the file: "SPPF", ...
  std::vector<int> from;             ///< indices of earlier modules; -1: the picture
  std::vector<int64_t> in_channels;  ///< of each input
  int64_t out_channels = 0;
  int64_t repeats = 1;               ///< bottlenecks of a C3
  bool shortcut = true;              ///< of Bottleneck and C3
  int64_t kernel = 1;                ///< of Conv and Focus; window of SPP and SPPF
  int64_t stride = 1, padding = -1;  ///< of Conv; -1: kernel / 2
  double reduction = 1;              ///< input pixels per cell of its output

  /// Of Conv and Focus: zero padding on every side of the input.
  int64_t conv_padding() const { return padding >= 0 ? padding : kernel / 2; }
};

struct GraphSpec {
  std::string name;  ///< "yolov5s-v5", "yolov5n", ..., or "custom"
  int64_t num_classes = 80;
  std::vector<LayerSpec> layers;     ///< the last is Detect
  Anchors anchors;                   ///< of each head, in pixels, with the strides
  bool anchors_are_counted = false;  ///< the file has only a number: `anchors` are placeholders
  double depth_multiple = 1, width_multiple = 1;
  std::string json;  ///< the source file, with the num_classes and anchors of this object

  const LayerSpec& detect() const { return layers.back(); }
  int64_t anchors_per_head() const;
  /// Sides of the input are multiples of this: the least common multiple of the strides of all
  /// layers, which may exceed those of the heads.
  int64_t max_stride() const;
  /// The same in training, where sides are also multiples of 32, as in YOLOv5.
  int64_t training_stride() const;
  /// The same network for another number of classes.
  GraphSpec with_classes(int64_t num_classes) const;
  /// The same network with other anchors (as many).
  GraphSpec with_anchors(const Anchors& anchors) const;
};

/// "yolov5n" ... "yolov5x": the graph of v6.0 to v7.0 (6x6 stem, SPPF). "yolov5s-v5" ...
/// "yolov5x-v5": v5.0 (Focus, SPP). With a 6 after the size, "yolov5s6" and "yolov5s6-v5": the
/// graphs with a fourth head of stride 64, for larger pictures.
/// throws ValueError naming the nearest known name.
GraphSpec graph_by_name(std::string_view name, int64_t num_classes = 80);
/// All names graph_by_name knows.
std::vector<std::string> graph_names();
/// throws ValueError naming the module and the fault.
GraphSpec graph_from_json(const std::string& json);
/// The same for YOLOv5's YAML. throws ValueError; for invalid YAML with the line.
GraphSpec graph_from_yaml(const std::string& yaml);
/// Whether this is a file name (.json, or .yaml as in YOLOv5) and not a graph's name.
bool is_graph_file(std::string_view name);
/// throws FileError, ValueError.
GraphSpec graph_from_file(const std::string& path);

}  // namespace ydistill
