// SPDX-License-Identifier: MIT
#include <ydistill/tools/processes.h>

#include <fmt/format.h>

#include <filesystem>
#include <optional>

#include <ydistill/tools/command.h>

namespace ydistill::tools {

int run_in_all(Exchange& processes, const std::function<int()>& work) {
  try {
    return work();
  } catch (const std::exception& error) {
    // An error that all processes know is reported by the first one, whose exit code counts.
    if (processes.ends_together() && !processes.is_first()) return 0;
    if (processes.size() == 1 || processes.ends_together()) throw;
    message(fmt::format("ydistill: process {} on {}: {}", processes.rank(), processes.machine(),
                        error.what()));
    processes.abort(kRunFailed);
    throw;
  }
}

Config load_config(Exchange& processes, const std::string& file,
                   const std::vector<std::string>& overrides) {
  std::optional<Config> config;
  processes.together([&] {
    if (processes.is_first()) config = ydistill::load_config(file, overrides);
  });
  const std::string text = processes.from_first(config ? to_json(*config) : "");
  return config ? *config : parse_config(text, std::filesystem::current_path(), {}, file);
}

}  // namespace ydistill::tools
