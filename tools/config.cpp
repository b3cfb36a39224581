// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <memory>

#include <ydistill/tools/command.h>
#include <ydistill/train/config_schema.h>

namespace ydistill::tools {

Run add_config(CLI::App& app) {
  auto schema = std::make_shared<bool>(false);
  CLI::App* cmd = app.add_subcommand("config", "Print every config key, its default and meaning");
  cmd->add_flag("--schema", *schema, "print the JSON Schema instead of the table");
  return [schema] {
    fmt::print("{}", *schema ? config_schema_json() : config_reference_markdown());
    return 0;
  };
}

}  // namespace ydistill::tools
