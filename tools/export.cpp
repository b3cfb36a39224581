// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <map>
#include <memory>

#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/detector_args.h>
#include <ydistill/yolo/export_onnx.h>

namespace ydistill::tools {
namespace {

struct ExportArgs {
  std::string weights, out;
  std::vector<int64_t> size{640};
  std::string output = "boxes";
  bool bytes = false, half = false, int8 = false, dynamic = false;
  OnnxOptions options;
};

constexpr int64_t kLargestSide = 16384;  // pixels

const std::map<std::string, OnnxOutput> kOutputs{{"boxes", OnnxOutput::kBoxes},
                                                 {"detections", OnnxOutput::kDetections},
                                                 {"logits", OnnxOutput::kLogits}};

OnnxOptions options_of(const ExportArgs& args, const Checkpoint& checkpoint) {
  OnnxOptions o = args.options;
  o.height = args.size.front();
  o.width = args.size.back();
  const int64_t stride = checkpoint.spec.max_stride();
  if (args.dynamic) o.shapes = OnnxShapes::kDynamic;
  for (const int64_t side : args.dynamic ? std::vector<int64_t>{} : args.size) {
    if (side < stride || side % stride != 0) {
      throw ConfigError("export: --size: must be multiples of {}, got {}", stride, side);
    }
    if (side > kLargestSide) {
      throw ConfigError("export: --size: must be at most {}, got {}", kLargestSide, side);
    }
  }
  o.output = kOutputs.at(args.output);
  if (args.bytes) o.input = OnnxInput::kBytes;
  if (args.half) o.precision = OnnxType::kFloat16;
  if (args.int8) {
    if (checkpoint.calibration.empty()) {
      throw ConfigError(
          "export: --int8 needs calibrated weights, as `ydistill quantize` writes them");
    }
    o.precision = OnnxType::kInt8;
  }
  return o;
}

int export_network(const ExportArgs& args) {
  if (std::filesystem::path(args.out).extension() != ".onnx") {
    throw ConfigError("{}: the file to write must end in .onnx", printable(args.out));
  }
  std::error_code missing;
  if (std::filesystem::equivalent(args.weights, args.out, missing)) {
    throw ConfigError("{}: is the input file, which would be overwritten; name another file",
                      printable(args.out));
  }
  const Checkpoint checkpoint = load_checkpoint(args.weights, PtWeights::kEma);
  const OnnxOptions o = options_of(args, checkpoint);
  const std::string file = encode_onnx(checkpoint, o, YD_VERSION);
  write_file_atomically(args.out, file);
  const std::string any = args.dynamic ? "any batch, height and width"
                                       : fmt::format("batch {}, {}x{}", o.batch, o.width, o.height);
  message(fmt::format("{}: {} with {} classes, {:.1f} MiB; {}; gives {}", printable(args.out),
                      checkpoint.spec.name, checkpoint.spec.num_classes,
                      double(file.size()) / 1048576.0, any, args.output));
  return 0;
}

}  // namespace

Run add_export(CLI::App& app) {
  auto args = std::make_shared<ExportArgs>();
  CLI::App* cmd = app.add_subcommand("export", "Write a network as ONNX, for other runtimes");
  cmd->add_option("weights", args->weights, ".pt or .safetensors")->required();
  cmd->add_option("out", args->out, "file to write: .onnx")->required();
  auto* size =
      cmd->add_option("--size", args->size, "height and width of the input, or one for both")
          ->expected(1, 2)
          ->capture_default_str();
  auto* batch = cmd->add_option("--batch", args->options.batch, "pictures at once")
                    ->check(CLI::Range(1, 4096))
                    ->capture_default_str();
  cmd->add_flag("--dynamic", args->dynamic, "takes any batch, height and width")
      ->excludes(size)
      ->excludes(batch);
  cmd->add_flag("--bytes", args->bytes,
                "takes uint8 [N,H,W,3] instead of float [N,3,H,W] from 0 to 1");
  auto* half =
      cmd->add_flag("--half", args->half, "float16 inside, half the size; input and output stay");
  cmd->add_flag("--int8", args->int8,
                "int8 inside, a quarter of the size; takes weights from `ydistill quantize`")
      ->excludes(half);
  cmd->add_option("--output", args->output,
                  "boxes: all, as YOLOv5's own files; detections: after NMS; logits: of each head")
      ->check(CLI::IsMember({"boxes", "detections", "logits"}))
      ->capture_default_str();
  add_nms_options(*cmd, args->options.nms.conf, args->options.nms.iou);
  cmd->add_option("--max-det", args->options.nms.max_det,
                  "maximum number of detections per picture")
      ->check(CLI::Range(1, 100000))
      ->capture_default_str();
  return [args, cmd] {
    for (const char* name : {"--conf", "--iou", "--max-det"}) {
      if (cmd->count(name) > 0 && args->output != "detections") {
        throw ConfigError("export: {} is only for --output detections", name);
      }
    }
    return export_network(*args);
  };
}

}  // namespace ydistill::tools
