// SPDX-License-Identifier: MIT
#include <fmt/ranges.h>

#include <memory>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/io/text.h>
#include <ydistill/tools/command.h>
#include <ydistill/train/memory_plan.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill::tools {
namespace {

void print_text(const std::string& file, const Checkpoint& checkpoint, const Model& model) {
  const GraphSpec& spec = checkpoint.spec;
  fmt::print("{}\n", printable(file));
  fmt::print("graph       {} (depth {}, width {}), weights from `{}`\n", spec.name,
             spec.depth_multiple, spec.width_multiple, checkpoint.source);
  fmt::print("parameters  {}\n", model.parameters().num_elements());
  fmt::print("GFLOPs      {:.1f} at 640x640\n", model.gflops(640, 640));
  if (!checkpoint.calibration.empty()) {
    fmt::print("int8        calibrated by `ydistill quantize`\n");
  }
  std::vector<std::string> names;
  for (const std::string& name : checkpoint.class_names) names.push_back(printable(name));
  fmt::print("classes     {}: {}\n", spec.num_classes, fmt::join(names, ", "));
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
                                {"calibrated", !checkpoint.calibration.empty()},
                                {"num_classes", spec.num_classes},
                                {"names", checkpoint.class_names},
                                {"strides", spec.anchors.strides},
                                {"anchors_px", spec.anchors.wh_px},
                                {"modules", modules}}
      .dump(2, ' ', false, nlohmann::json::error_handler_t::replace);  // file names: any bytes
}

std::string as_json(const MemoryPlan& plan, int64_t fitting_batch, int64_t fitting_val_batch) {
  nlohmann::ordered_json parts = nlohmann::ordered_json::array();
  for (const MemoryPlan::Part& part : plan.parts) {
    parts.push_back({{"part", part.name}, {"bytes", part.bytes}, {"holds", part.holds}});
  }
  nlohmann::ordered_json document{{"parts", parts}, {"total_bytes", plan.total_bytes()}};
  if (plan.step_bytes > 0) document["step_bytes"] = plan.step_bytes;
  if (plan.validation_bytes > 0) document["validation_bytes"] = plan.validation_bytes;
  if (plan.further_shape_bytes > 0) document["further_shape_bytes"] = plan.further_shape_bytes;
  if (fitting_batch >= 0) document["fitting_batch"] = fitting_batch;
  if (fitting_val_batch >= 0) document["fitting_val_batch"] = fitting_val_batch;
  return document.dump(2);
}

double mib(int64_t bytes) {
  return double(bytes) / 1048576.0;
}

void print_text(const std::string& what, const MemoryPlan& plan) {
  fmt::print("{}\n\n", what);
  for (const MemoryPlan::Part& part : plan.parts) {
    fmt::print("{:<26}{:>9.1f} MiB  {}\n", part.name, mib(part.bytes), part.holds);
  }
  fmt::print("{:<26}{:>9.1f} MiB  predicted peak of the resident memory\n", "total",
             mib(plan.total_bytes()));
}

struct InfoArgs {
  std::string file, weights, device = "cpu", precision = "auto";
  std::vector<std::string> overrides;
  int64_t size = 640, batch = 1, budget = 0;
  bool json = false, memory = false;
};

int print_training_memory(const InfoArgs& args) {
  const Config config = load_config(args.file, args.overrides);
  const TrainingMemory memory(config, [](const std::string& line) { message(line); });
  const MemoryPlan plan = memory.plan();
  int64_t fitting = -1, fitting_val = -1;
  std::string fits, val_fits;
  if (args.budget > 0) {
    fitting = memory.largest_batch(args.budget << 20);
    fits = fmt::format("--budget {} MiB for the whole run: ", args.budget);
  } else if (config.train.memory_mib > 0) {
    const int64_t limit = config.train.memory_mib << 20;
    fitting = memory.largest_batch_by_step(limit);
    fitting_val = memory.largest_validation_batch(limit);
    fits = fmt::format("train.memory_mib {} for a step of {:.1f} MiB: ", config.train.memory_mib,
                       mib(plan.step_bytes));
    val_fits =
        fmt::format("and for {:.1f} MiB of validation, val.batch: ", mib(plan.validation_bytes));
  }
  if (args.json) {
    print_json(as_json(plan, fitting, fitting_val));
    return 0;
  }
  print_text(fmt::format("{}: training, batch {}, {} px", args.file, memory.batch(), memory.side()),
             plan);
  const auto largest = [](int64_t batch) {
    return batch > 0 ? fmt::format("the largest batch that fits is {}", batch)
                     : "not even a single picture fits";
  };
  if (fitting >= 0) fmt::print("\n{}{}\n", fits, largest(fitting));
  if (fitting_val >= 0) fmt::print("{}{}\n", val_fits, largest(fitting_val));
  return 0;
}

int print_inference_memory(const InfoArgs& args) {
  const Checkpoint checkpoint = load_checkpoint(args.weights, PtWeights::kEma);
  const int64_t stride = checkpoint.spec.max_stride();
  if (args.size % stride != 0) {
    throw ConfigError("info: --size must be a multiple of {}, got {}", stride, args.size);
  }
  const MemoryPlan plan = inference_memory(
      checkpoint, {args.batch, args.size, args.size, 3},
      choose_inference_compute(args.device, args.precision, !checkpoint.calibration.empty()));
  if (args.json) {
    print_json(as_json(plan, -1, -1));
  } else {
    print_text(fmt::format("{}: inference, batch {}, {} px", args.weights, args.batch, args.size),
               plan);
    fmt::print("\neach further shape of picture adds about {:.1f} MiB\n",
               mib(plan.further_shape_bytes));
  }
  return 0;
}

}  // namespace

Run add_info(CLI::App& app) {
  auto args = std::make_shared<InfoArgs>();
  CLI::App* cmd =
      app.add_subcommand("info", "Print what a checkpoint holds, or what memory a run takes");
  cmd->add_option("file", args->file, ".pt or .safetensors; with --memory a config file");
  cmd->add_option("overrides", args->overrides, "with a config: key.path=value");
  auto* memory =
      cmd->add_flag("--memory", args->memory,
                    "predict the peak memory of a training on the CPU, or with --weights "
                    "of inference");
  auto* weights = cmd->add_option("--weights", args->weights, "for inference: .pt or .safetensors")
                      ->needs(memory);
  cmd->add_option("--size", args->size, "for inference: side in the network, pixels")
      ->needs(memory)
      ->needs(weights)
      ->check(CLI::Range(32, 16384))
      ->capture_default_str();
  cmd->add_option("--batch", args->batch, "for inference: pictures at once")
      ->needs(memory)
      ->needs(weights)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  cmd->add_option("--precision", args->precision, "for inference: auto, fp32, bf16 or int8")
      ->needs(memory)
      ->needs(weights)
      ->capture_default_str();
  cmd->add_option(
         "--budget", args->budget,
         "for a training: memory limit of the whole run in MiB; prints the largest batch that fits")
      ->needs(memory)
      ->excludes(weights)
      ->check(CLI::Range(1, 1 << 24));
  cmd->add_flag("--json", args->json, "print one JSON document");
  return [args] {
    if (args->file.empty() == args->weights.empty()) {
      throw ConfigError("info: name a checkpoint, with --memory a config file or --weights FILE");
    }
    if (args->memory) {
      return args->file.empty() ? print_inference_memory(*args) : print_training_memory(*args);
    }
    if (!args->overrides.empty()) {
      throw ConfigError("info: {} overrides a config, which is read only with --memory",
                        args->overrides[0]);
    }
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
