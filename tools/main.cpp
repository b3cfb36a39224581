// SPDX-License-Identifier: MIT
// The `ydistill` command. Exit codes: 0 done, 1 the run failed (one line says why), 2 wrong usage.
#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <ydistill/tensor/error.h>
#include <ydistill/tools/command.h>

namespace ydistill::tools {

void print_json(const std::string& text) {
  fmt::print("{}\n", text);
}

void message(const std::string& text) {
  fmt::print(stderr, "{}\n", text);
}

}  // namespace ydistill::tools

int main(int argc, char** argv) {
  using namespace ydistill::tools;
  std::signal(SIGXFSZ, SIG_IGN);  // a file that grows too large is then an error like a full disk
  CLI::App app{"Train, distil and run YOLOv5 detectors.", "ydistill"};
  app.require_subcommand(1);
  app.set_version_flag("--version", YD_VERSION);
  std::vector<std::pair<CLI::App*, Run>> commands;
  for (Run (*add)(CLI::App&) :
       {add_train, add_evolve, add_val, add_detect, add_check, add_convert, add_convert_data,
        add_info, add_compare, add_report, add_trace, add_config}) {
    Run run = add(app);
    commands.emplace_back(app.get_subcommands({}).back(), std::move(run));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kWrongUsage;
  }
  try {
    for (const auto& [command, run] : commands) {
      if (command->parsed()) return run();
    }
  } catch (const ydistill::ConfigError& error) {
    message(fmt::format("ydistill: {}", error.what()));
    return kWrongUsage;
  } catch (const std::bad_alloc&) {
    message("ydistill: out of memory");
    return kRunFailed;
  } catch (const std::exception& error) {
    message(fmt::format("ydistill: {}", error.what()));
    return kRunFailed;
  }
  return kWrongUsage;
}
