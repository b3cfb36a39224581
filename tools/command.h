// SPDX-License-Identifier: MIT
// What the commands of `ydistill` share. Each command is one file that parses its arguments, calls
// the library and prints the result.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <string>

namespace ydistill::tools {

inline constexpr int kRunFailed = 1;
inline constexpr int kWrongUsage = 2;

/// Each adds its subcommand to the app; the returned function runs it and returns the exit code.
using Run = std::function<int()>;
Run add_train(CLI::App& app);
Run add_val(CLI::App& app);
Run add_detect(CLI::App& app);
Run add_convert(CLI::App& app);
Run add_export(CLI::App& app);
Run add_info(CLI::App& app);
Run add_trace(CLI::App& app);
Run add_config(CLI::App& app);
Run add_check(CLI::App& app);
Run add_evolve(CLI::App& app);
Run add_convert_data(CLI::App& app);
Run add_compare(CLI::App& app);
Run add_report(CLI::App& app);
Run add_video(CLI::App& app);
Run add_quantize(CLI::App& app);
Run add_label(CLI::App& app);

/// Prints a document to standard output, nothing else.
void print_json(const std::string& text);
/// Writes text to standard error, unchanged. Write errors are ignored: a log on a full disk must
/// not end a training.
void say(const std::string& text);
/// The same with a line break at the end.
void message(const std::string& text);

}  // namespace ydistill::tools
