// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include <ydistill/tools/command.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill::tools {
namespace {

void print_text(const std::string& file, const Checkpoint& checkpoint, const Model& model) {
  const GraphSpec& spec = checkpoint.spec;
  fmt::print("{}\n", file);
  fmt::print("graph       {} (depth {}, width {}), weights from `{}`\n", spec.name,
             spec.depth_multiple, spec.width_multiple, checkpoint.source);
  fmt::print("parameters  {}\n", model.parameters().num_elements());
  fmt::print("GFLOPs      {:.1f} at 640x640\n", model.gflops(640, 640));
  fmt::print("classes     {}: {}\n", spec.num_classes, fmt::join(checkpoint.class_names, ", "));
  for (size_t k = 0; k < spec.anchors.strides.size(); ++k) {
    fmt::print("anchors /{:<2} ", spec.anchors.strides[k]);
    for (const auto& wh : spec.anchors.wh_px[k]) fmt::print(" {:g}x{:g}", wh[0], wh[1]);
    fmt::print("\n");
  }
  fmt::print("\n{:>3}  {:<12} {:<14} {:>8} {:>7}\n", "#", "module", "from", "channels", "stride");
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    const LayerSpec& layer = spec.layers[i];
    const std::string type =
        layer.repeats > 1 ? fmt::format("{} x{}", layer.type_name, layer.repeats) : layer.type_name;
    fmt::print("{:>3}  {:<12} {:<14} {:>8} {:>7}\n", i, type,
               fmt::format("{}", fmt::join(layer.from, ",")), layer.out_channels,
               layer.type == LayerType::kDetect ? 0 : layer.reduction);
  }
}

std::string as_json(const std::string& file, const Checkpoint& checkpoint, const Model& model) {
  const GraphSpec& spec = checkpoint.spec;
  nlohmann::ordered_json modules = nlohmann::ordered_json::array();
  for (const LayerSpec& layer : spec.layers) {
    modules.push_back({{"type", layer.type_name},
                       {"from", layer.from},
                       {"channels", layer.out_channels},
                       {"repeats", layer.repeats}});
  }
  return nlohmann::ordered_json{{"file", file},
                                {"graph", spec.name},
                                {"source", checkpoint.source},
                                {"parameters", model.parameters().num_elements()},
                                {"gflops_640", model.gflops(640, 640)},
                                {"num_classes", spec.num_classes},
                                {"names", checkpoint.class_names},
                                {"strides", spec.anchors.strides},
                                {"anchors_px", spec.anchors.wh_px},
                                {"modules", modules}}
      .dump(2);
}

}  // namespace

Run add_info(CLI::App& app) {
  struct Args {
    std::string file;
    bool json = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("info", "Print a checkpoint's graph, parameters and classes");
  cmd->add_option("file", args->file, ".pt or .safetensors")->required();
  cmd->add_flag("--json", args->json, "print one JSON document");
  return [args] {
    const Checkpoint checkpoint = load_checkpoint(args->file, PtWeights::kEma);
    const auto model = build_model(checkpoint);
    if (args->json) {
      print_json(as_json(args->file, checkpoint, *model));
    } else {
      print_text(args->file, checkpoint, *model);
    }
    return 0;
  };
}

}  // namespace ydistill::tools
