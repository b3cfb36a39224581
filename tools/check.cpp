// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>

#include <ydistill/tensor/error.h>
#include <ydistill/tools/command.h>
#include <ydistill/train/data_report.h>

namespace ydistill::tools {

Run add_check(CLI::App& app) {
  struct Args {
    std::string config;
    std::vector<std::string> overrides;
    bool json = false, quick = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand("check", "Check the pictures and labels of a config");
  cmd->add_option("config", args->config, "config file (JSON)")->required();
  cmd->add_option("overrides", args->overrides, "key.path=value, e.g. data.yaml=coco128.yaml");
  cmd->add_flag("--json", args->json, "print one JSON document");
  cmd->add_flag("--quick", args->quick, "read headers only, do not decode the pictures");
  cmd->footer("Exit codes: 0 nothing found, 1 there are findings, 2 the data cannot be read.");
  return [args] {
    DataReport report;
    try {
      const Config config = load_config(args->config, args->overrides);
      report = report_data(config, args->quick ? CheckDepth::kHeaders : CheckDepth::kPixels);
    } catch (const Error& error) {
      message(fmt::format("ydistill: {}", error.what()));
      return kWrongUsage;
    }
    if (args->json) {
      print_json(to_json(report));
    } else {
      fmt::print("{}", to_text(report));
    }
    return report.num_findings() == 0 ? 0 : kRunFailed;
  };
}

}  // namespace ydistill::tools
