// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include <ydistill/tensor/io/text.h>
#include <ydistill/tools/command.h>
#include <ydistill/yolo/checkpoint.h>

namespace ydistill::tools {

Run add_convert(CLI::App& app) {
  struct Args {
    std::string in, out;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("convert", "Convert a .pt checkpoint to .safetensors");
  cmd->add_option("in", args->in, "checkpoint to read: .pt or .safetensors")->required();
  cmd->add_option("out", args->out, "file to write: .safetensors")->required();
  return [args] {
    if (std::filesystem::path(args->out).extension() == ".onnx") {
      throw ConfigError("{}: `ydistill export` writes .onnx", printable(args->out));
    }
    if (std::filesystem::path(args->out).extension() != ".safetensors") {
      throw ConfigError("{}: the file to write must end in .safetensors", printable(args->out));
    }
    std::error_code error;
    if (std::filesystem::equivalent(args->in, args->out, error)) {
      throw ConfigError("convert: {} is the input file; name another file to write",
                        printable(args->out));
    }
    const Checkpoint in = load_checkpoint(args->in, PtWeights::kEma);
    const auto model = build_model(in);  // checks that every weight is present and finite
    save_checkpoint(
        args->out, {model->spec(), in.class_names, export_weights(*model), {}, "", in.calibration});
    message(fmt::format("{}: {} with {} classes, {} parameters, from `{}` of {}",
                        printable(args->out), in.spec.name, in.spec.num_classes,
                        model->parameters().num_elements(), in.source, printable(args->in)));
    return 0;
  };
}

}  // namespace ydistill::tools
