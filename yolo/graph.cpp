// SPDX-License-Identifier: MIT
#include <ydistill/yolo/graph.h>

#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>

#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/tensor/edit_distance.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/yolo/graph_table.h>
#include <ydistill/yolo/graph_yaml.h>

namespace ydistill {
namespace {

using nlohmann::json;

constexpr int kMaxLayers = 1000;
constexpr int64_t kMaxChannels = 1 << 16, kMaxRepeats = 1000;
constexpr double kMaxStride = 1 << 16;
constexpr int64_t kMaxAnchors = 32;

struct TypeName {
  const char* name;
  LayerType type;
  size_t num_args;  ///< number of arguments that are read
};
constexpr TypeName kTypes[] = {{"Conv", LayerType::kConv, 4},
                               {"Focus", LayerType::kFocus, 2},
                               {"Bottleneck", LayerType::kBottleneck, 2},
                               {"C3", LayerType::kC3, 2},
                               {"SPP", LayerType::kSpp, 2},
                               {"SPPF", LayerType::kSpp, 2},
                               {"nn.Upsample", LayerType::kUpsample, 3},
                               {"Concat", LayerType::kConcat, 1},
                               {"Detect", LayerType::kDetect, 2}};

/// ceil(c width / 8) 8, as YOLOv5 rounds channels. (YOLOv5 does not scale channels that happen to
/// equal a head's outputs, such as 768 for 251 classes.)
int64_t scaled_channels(int64_t channels, double width) {
  return int64_t(std::ceil(double(channels) * width / 8)) * 8;
}

/// max(round(n depth), 1), half to even as Python rounds.
int64_t scaled_repeats(int64_t repeats, double depth) {
  if (repeats <= 1) return repeats;
  return std::max<int64_t>(int64_t(std::nearbyint(double(repeats) * depth)), 1);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return char(std::tolower(c)); });
  return lower;
}

/// For a message: on one line, shortened.
std::string shown(const json& value) {
  return printable(value.dump(), 100);
}

/// Reads one module of the list; `what` is the prefix of error messages.
class LayerReader {
 public:
  LayerReader(const json& entry, int index) : index_(index) {
    if (!entry.is_array() || entry.size() != 4 || !entry[1].is_number_integer() ||
        !entry[2].is_string() || !entry[3].is_array()) {
      fail("expected [from, repeats, \"Type\", [arguments]], got " + shown(entry));
    }
    from_ = entry[0];
    repeats_ = entry[1].get<int64_t>();
    type_ = entry[2].get<std::string>();
    args_ = entry[3];
    check_repeats(repeats_);
  }

  [[noreturn]] void fail(const std::string& reason) const {
    throw ValueError("graph: module {}{}: {}", index_,
                     type_.empty() ? "" : " (" + printable(type_, 40) + ")", reason);
  }

  void check_repeats(int64_t repeats) const {
    if (repeats < 1 || repeats > kMaxRepeats) {
      fail(fmt::format("repeats {} outside 1..{}", repeats, kMaxRepeats));
    }
  }

  LayerType type() const {
    for (const TypeName& t : kTypes) {
      if (type_ == t.name) return t.type;
    }
    fail(
        "unknown type; known are Conv, Focus, Bottleneck, C3, SPP, SPPF, nn.Upsample, Concat, "
        "Detect");
  }
  const std::string& type_name() const { return type_; }
  int64_t repeats() const { return repeats_; }
  size_t num_args() const { return args_.size(); }

  /// Indices of the inputs, negative ones resolved. -1 only for the first module's picture.
  std::vector<int> from() const {
    std::vector<int> inputs;
    for (const json& f : from_.is_array() ? from_ : json::array({from_})) {
      if (!f.is_number_integer()) fail("`from` must be a number or a list of numbers");
      const int64_t value = f.get<int64_t>();
      const int64_t at = value < 0 ? index_ + value : value;
      if (at >= index_ || at < -1 || (at == -1 && index_ != 0)) {
        fail(fmt::format("`from` {} names no earlier module", value));
      }
      inputs.push_back(int(at));
    }
    if (inputs.empty()) fail("`from` names no module");
    return inputs;
  }

  /// Refuses further arguments of YOLOv5's modules, such as groups, which are not supported here.
  void check_num_args() const {
    for (const TypeName& t : kTypes) {
      if (type_ == t.name && args_.size() > t.num_args) {
        fail(fmt::format("has {} arguments, only the first {} are supported", args_.size(),
                         t.num_args));
      }
    }
    if (type_ == "Concat" && !args_.empty() && args_[0] != 1) {
      fail("only channels are concatenated (1)");
    }
  }

  int64_t integer(size_t i, int64_t fallback, int64_t low, int64_t high) const {
    if (i >= args_.size()) return fallback;
    if (!args_[i].is_number_integer()) {
      fail(fmt::format("argument {} must be an integer, got {}", i, shown(args_[i])));
    }
    const int64_t value = args_[i].get<int64_t>();
    if (value < low || value > high) {
      fail(fmt::format("argument {} is {}, allowed are {}..{}", i, value, low, high));
    }
    return value;
  }
  int64_t channels(double width) const {
    if (args_.empty()) fail("needs the number of channels as its first argument");
    return scaled_channels(integer(0, 0, 1, kMaxChannels), width);
  }
  bool boolean(size_t i, bool fallback) const {
    if (i >= args_.size()) return fallback;
    if (!args_[i].is_boolean()) {
      fail(fmt::format("argument {} must be true or false, got {}", i, shown(args_[i])));
    }
    return args_[i].get<bool>();
  }
  const json& arg(size_t i) const { return args_[i]; }
  /// The window k whose cascade k, 2k-1, 3k-2 equals the windows of SPP or SPPF.
  int64_t pool_window() const {
    if (num_args() < 2) return 5;
    for (int64_t k = 3; k <= kMaxPoolWindow; k += 2) {
      if (args_[1] == (type_ == "SPP" ? json{k, 2 * k - 1, 3 * k - 2} : json(k))) return k;
    }
    const char* wanted =
        type_ == "SPP" ? "k, 2k - 1, 3k - 2 with an odd k, as [5, 9, 13]" : "an odd number, as 5";
    fail(fmt::format("windows {} are not supported, only {}, from 3 to {}", shown(args_[1]), wanted,
                     kMaxPoolWindow));
  }

 private:
  int index_;
  json from_, args_;
  int64_t repeats_ = 1;
  std::string type_;
};

LayerSpec read_layer(const LayerReader& in, const std::vector<LayerSpec>& before, double depth,
                     double width) {
  LayerSpec layer;
  layer.type = in.type();
  layer.type_name = in.type_name();
  layer.from = in.from();
  double reduction = 0;
  for (const int from : layer.from) {
    layer.in_channels.push_back(from < 0 ? 3 : before[size_t(from)].out_channels);
    const double r = from < 0 ? 1 : before[size_t(from)].reduction;
    if (layer.type != LayerType::kDetect && reduction != 0 && r != reduction) {
      in.fail(fmt::format("its inputs have strides {} and {}, which do not fit together", reduction,
                          r));
    }
    reduction = r;
  }
  if (before.empty() != (layer.from[0] == -1)) in.fail("only the first module takes the picture");
  const bool many = layer.type == LayerType::kConcat || layer.type == LayerType::kDetect;
  if (!many && layer.from.size() != 1) in.fail("takes one input");
  if (layer.type != LayerType::kC3 && in.repeats() != 1) in.fail("only C3 can be repeated");
  in.check_num_args();
  switch (layer.type) {
    case LayerType::kConv:
      layer.out_channels = in.channels(width);
      layer.kernel = in.integer(1, 1, 1, 15);
      layer.stride = in.integer(2, 1, 1, 8);
      layer.padding = in.integer(3, -1, 0, 15);
      break;
    case LayerType::kFocus:
      if (!before.empty()) in.fail("must be the first module");
      layer.out_channels = in.channels(width);
      layer.kernel = in.integer(1, 1, 1, 15);
      break;
    case LayerType::kBottleneck:
      layer.out_channels = in.channels(width);
      layer.shortcut = in.boolean(1, true);
      break;
    case LayerType::kC3:
      layer.out_channels = in.channels(width);
      layer.shortcut = in.boolean(1, true);
      layer.repeats = scaled_repeats(in.repeats(), depth);
      in.check_repeats(layer.repeats);
      break;
    case LayerType::kSpp: {
      layer.out_channels = in.channels(width);
      layer.kernel = in.pool_window();
      break;
    }
    case LayerType::kUpsample:
      if (in.integer(1, 2, 2, 2) != 2) in.fail("only a factor of 2 is supported");
      if (in.num_args() > 2 && in.arg(2) != "nearest") in.fail("only \"nearest\" is supported");
      layer.out_channels = layer.in_channels[0];
      break;
    case LayerType::kConcat:
      for (const int64_t channels : layer.in_channels) layer.out_channels += channels;
      break;
    case LayerType::kDetect:
      if (before.empty()) in.fail("needs modules to read");
      break;
  }
  const double scale = layer.type == LayerType::kFocus      ? 2
                       : layer.type == LayerType::kUpsample ? 0.5
                                                            : double(layer.stride);
  layer.reduction = reduction * scale;
  if (layer.out_channels > kMaxChannels) {
    in.fail(
        fmt::format("has {} channels, at most {} are allowed", layer.out_channels, kMaxChannels));
  }
  if (!(layer.reduction >= 1 / kMaxStride && layer.reduction <= kMaxStride)) {
    in.fail(fmt::format("its output has stride {:g}, allowed are 1/{} to {}", layer.reduction,
                        int64_t(kMaxStride), int64_t(kMaxStride)));
  }
  return layer;
}

std::vector<std::vector<std::array<double, 2>>> read_anchors(const json& anchors) {
  std::vector<std::vector<std::array<double, 2>>> heads;
  if (!anchors.is_array())
    throw ValueError("graph: anchors must be a list of lists of numbers, or how many a scale has");
  for (const json& head : anchors) {
    std::vector<std::array<double, 2>> pairs;
    if (!head.is_array() || head.empty() || head.size() % 2 != 0 ||
        !std::all_of(head.begin(), head.end(), [](const json& v) {
          return v.is_number() && std::isfinite(v.get<double>()) && v.get<double>() > 0;
        })) {
      throw ValueError(
          "graph: the anchors of a scale are width, height, width, height, ... > 0, got {}",
          shown(head));
    }
    for (size_t i = 0; i < head.size(); i += 2) {
      pairs.push_back({head[i].get<double>(), head[i + 1].get<double>()});
    }
    heads.push_back(std::move(pairs));
  }
  return heads;
}

/// Placeholders if a file has only a number: squares of 1.5 to 6 strides, in equal ratios.
Anchors with_anchors_at_first(Anchors anchors, int64_t count) {
  if (count < 1 || count > kMaxAnchors) {
    throw ValueError("graph: {} anchors a scale, allowed are 1..{}", count, kMaxAnchors);
  }
  anchors.wh_px.clear();
  for (const double stride : anchors.strides) {
    auto& head = anchors.wh_px.emplace_back();
    for (int64_t i = 0; i < count; ++i) {
      const double share = count == 1 ? 0.5 : double(i) / double(count - 1);
      const double side = std::round(stride * 1.5 * std::pow(4, share));
      head.push_back({side, side});
    }
  }
  return anchors;
}

json as_json(const Anchors& anchors) {
  json lists = json::array();
  for (const auto& head : anchors.wh_px) {
    json list = json::array();
    for (const auto& wh : head) {
      list.push_back(wh[0]);
      list.push_back(wh[1]);
    }
    lists.push_back(list);
  }
  return lists;
}

/// Refuses keys of a file that are not supported here.
void check_is_plain(const json& spec) {
  if (spec.contains("activation") && !spec["activation"].is_null() &&
      spec["activation"] != "nn.SiLU()") {
    throw ValueError("graph: activation is {}, only \"nn.SiLU()\" is supported",
                     shown(spec["activation"]));
  }
  if (spec.contains("ch") && spec["ch"] != 3) {
    throw ValueError("graph: ch is {}, pictures have 3 channels", shown(spec["ch"]));
  }
}

double read_multiple(const json& spec, const char* key) {
  const json value = spec.value(key, json(1.0));
  if (!value.is_number() || !(value.get<double>() > 0) || value.get<double>() > 100) {
    throw ValueError("graph: {} must be a number > 0 and at most 100, got {}", key, shown(value));
  }
  return value.get<double>();
}

int64_t read_classes(const json& spec) {
  const json value = spec.value("nc", json(80));
  if (!value.is_number_integer() || value.get<int64_t>() < 1 || value.get<int64_t>() > 100000) {
    throw ValueError("graph: nc must be an integer >= 1, got {}", shown(value));
  }
  return value.get<int64_t>();
}

/// Sets the name of a graph that equals a released one except for classes and anchors.
std::string recognise(const json& spec) {
  for (const NamedGraph& known : release_graphs()) {
    json other = json::parse(known.json);
    bool same =
        std::abs(other["depth_multiple"].get<double>() - read_multiple(spec, "depth_multiple")) <
            1e-9 &&
        std::abs(other["width_multiple"].get<double>() - read_multiple(spec, "width_multiple")) <
            1e-9;
    for (const char* part : {"backbone", "head"}) {
      const json& a = spec[part];
      const json& b = other[part];
      same = same && a.size() == b.size();
      for (size_t i = 0; same && i < a.size(); ++i) {
        // Upsample has the argument null or "None", depending on the release; the rest must be
        // equal.
        same = a[i][0] == b[i][0] && a[i][1] == b[i][1] && a[i][2] == b[i][2] &&
               (a[i][2] == "nn.Upsample" || a[i][2] == "Detect" || a[i][3] == b[i][3]);
      }
    }
    if (same) return known.name;
  }
  return "custom";
}

}  // namespace

int64_t GraphSpec::anchors_per_head() const {
  return int64_t(anchors.wh_px.at(0).size());
}

int64_t GraphSpec::max_stride() const {
  int64_t common = 1;
  for (const LayerSpec& layer : layers) {
    if (layer.type == LayerType::kDetect || layer.reduction < 1) continue;
    common = std::lcm(common, int64_t(layer.reduction));
  }
  return common;
}

int64_t GraphSpec::training_stride() const {
  return std::lcm<int64_t>(32, max_stride());
}

GraphSpec GraphSpec::with_classes(int64_t classes) const {
  nlohmann::json spec = nlohmann::json::parse(json);
  spec["nc"] = classes;
  GraphSpec graph = graph_from_json(spec.dump());
  graph.anchors_are_counted = anchors_are_counted;
  return graph;
}

GraphSpec GraphSpec::with_anchors(const Anchors& other) const {
  nlohmann::json spec = nlohmann::json::parse(json);
  spec["anchors"] = as_json(other);
  return graph_from_json(spec.dump());
}

GraphSpec graph_from_json(const std::string& text) {
  if (json_nests_beyond(text)) {
    throw ValueError("graph: lists and objects are nested more than {} deep", kMaxJsonNesting);
  }
  json spec;
  try {
    spec = json::parse(text, nullptr, /*allow_exceptions=*/true, /*ignore_comments=*/true);
  } catch (const json::exception& error) {
    throw ValueError("graph: malformed JSON: {}", json_problem(error, text));
  }
  if (!spec.is_object()) {
    throw ValueError("graph: not a JSON object with the keys nc, anchors, backbone, head");
  }
  for (const char* part : {"backbone", "head"}) {
    if (!spec.contains(part) || !spec[part].is_array()) {
      throw ValueError("graph: {} must be a list of modules", part);
    }
  }
  if (!spec.contains("anchors")) throw ValueError("graph: anchors are missing");
  check_is_plain(spec);

  GraphSpec graph;
  graph.num_classes = read_classes(spec);
  graph.depth_multiple = read_multiple(spec, "depth_multiple");
  graph.width_multiple = read_multiple(spec, "width_multiple");
  json modules = spec["backbone"];
  for (const json& module : spec["head"]) modules.push_back(module);
  if (modules.empty() || modules.size() > size_t(kMaxLayers)) {
    throw ValueError("graph: {} modules, allowed are 1..{}", modules.size(), kMaxLayers);
  }
  for (size_t i = 0; i < modules.size(); ++i) {
    const LayerReader reader(modules[i], int(i));
    graph.layers.push_back(
        read_layer(reader, graph.layers, graph.depth_multiple, graph.width_multiple));
    if ((graph.layers.back().type == LayerType::kDetect) != (i + 1 == modules.size())) {
      reader.fail("Detect must be the last module, and the last module must be Detect");
    }
  }
  const LayerSpec& detect = graph.detect();
  for (const int from : detect.from) {
    const double stride = graph.layers[size_t(from)].reduction;
    if (stride < 1 || stride != std::floor(stride)) {
      throw ValueError("graph: Detect reads module {} of stride {:g}, whole pixels wanted", from,
                       stride);
    }
    graph.anchors.strides.push_back(stride);
  }
  if (spec["anchors"].is_number_integer()) {
    const int64_t count = spec["anchors"].get<int64_t>();
    graph.anchors_are_counted = true;
    spec["anchors"] = as_json(with_anchors_at_first(graph.anchors, count));
  }
  graph.anchors.wh_px = read_anchors(spec["anchors"]);
  if (graph.anchors.wh_px.size() != detect.from.size()) {
    throw ValueError("graph: Detect has {} scales, anchors are given for {}", detect.from.size(),
                     graph.anchors.wh_px.size());
  }
  for (const auto& head : graph.anchors.wh_px) {
    if (head.size() != graph.anchors.wh_px[0].size()) {
      throw ValueError("graph: every scale needs the same number of anchors, got {} and {}",
                       graph.anchors.wh_px[0].size(), head.size());
    }
  }
  graph.name = recognise(spec);
  graph.json = spec.dump();
  return graph;
}

std::vector<std::string> graph_names() {
  std::vector<std::string> names;
  for (const NamedGraph& graph : release_graphs()) names.push_back(graph.name);
  return names;
}

GraphSpec graph_by_name(std::string_view name, int64_t num_classes) {
  const std::vector<NamedGraph> graphs = release_graphs();
  for (const NamedGraph& graph : graphs) {
    if (graph.name == name) return graph_from_json(graph.json).with_classes(num_classes);
  }
  const auto nearest =
      std::min_element(graphs.begin(), graphs.end(), [&](const NamedGraph& a, const NamedGraph& b) {
        return edit_distance(a.name, name) < edit_distance(b.name, name);
      });
  throw ValueError("graph: no graph is called \"{}\"; did you mean \"{}\"? Known: {}", name,
                   nearest->name, fmt::join(graph_names(), ", "));
}

GraphSpec graph_from_yaml(const std::string& yaml) {
  return graph_from_json(graph_json_of_yaml(yaml));
}

bool is_graph_file(std::string_view name) {
  const std::string lower = lower_case(name);
  return lower.ends_with(".json") || lower.ends_with(".yaml") || lower.ends_with(".yml");
}

GraphSpec graph_from_file(const std::string& path) {
  const std::string text = read_text_file(path);
  try {
    const bool is_json = lower_case(path).ends_with(".json");
    return is_json ? graph_from_json(text) : graph_from_yaml(text);
  } catch (const ValueError& error) {
    throw ValueError("{}: {}", path, error.what());
  }
}

}  // namespace ydistill
