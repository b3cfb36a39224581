// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tools/command.h>
#include <ydistill/train/report/page.h>

namespace ydistill::tools {

Run add_compare(CLI::App& app) {
  struct Args {
    std::vector<std::string> runs;
    std::string page = "compare.html";
    bool json = false;
  };
  auto args = std::make_shared<Args>();
  CLI::App* cmd = app.add_subcommand(
      "compare", "Compare runs; those that differ in train.seed alone give mean and spread");
  cmd->add_option("runs", args->runs, "run folders, finished or not")->required();
  cmd->add_option("--page", args->page, "the page to write, .html; compare.html by default");
  cmd->add_flag("--json", args->json, "print one JSON document");
  return [args] {
    if (!args->page.ends_with(".html")) {  // a typo must not overwrite a config or a picture
      throw ConfigError("compare: --page {}: the page to write must end in .html", args->page);
    }
    const std::vector<std::filesystem::path> folders(args->runs.begin(), args->runs.end());
    const Comparison comparison = compare_folders(folders);
    for (const std::string& note : comparison.notes) message("compare: " + note);
    write_file_atomically(args->page, compare_page(comparison));
    if (args->json) {
      print_json(to_json(comparison));
    } else {
      fmt::print("{}", as_text(comparison));
    }
    message(fmt::format("page: {}", args->page));
    return 0;
  };
}

}  // namespace ydistill::tools
