// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>

#include <ydistill/tools/command.h>
#include <ydistill/train/run_reporter.h>

namespace ydistill::tools {

Run add_report(CLI::App& app) {
  auto run = std::make_shared<std::string>();
  CLI::App* cmd =
      app.add_subcommand("report", "Write report.html and the plots of a run folder once more");
  cmd->add_option("run", *run, "run folder with report.json and results.csv")->required();
  return [run] {
    write_report(*run, read_run_record(*run));
    message(fmt::format("report: {}/report.html", *run));
    return 0;
  };
}

}  // namespace ydistill::tools
