// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include <ydistill/tensor/error.h>
#include <ydistill/tools/command.h>
#include <ydistill/train/run_reporter.h>

namespace ydistill::tools {

Run add_report(CLI::App& app) {
  auto run = std::make_shared<std::string>();
  CLI::App* cmd =
      app.add_subcommand("report", "Write report.html and the plots of a run folder once more");
  cmd->add_option("run", *run, "run folder with report.json and results.csv")->required();
  return [run] {
    std::error_code ignored;
    if (!std::filesystem::is_directory(*run, ignored)) {
      throw FileError("{}: {}; expected the folder of a run", *run,
                      std::filesystem::exists(*run, ignored) ? "a file" : "no such folder");
    }
    write_report(*run, read_run_record(*run));
    message(fmt::format("report: {}/report.html", *run));
    return 0;
  };
}

}  // namespace ydistill::tools
