// SPDX-License-Identifier: MIT
// The `ydistill` command. Exit codes: 0 done, 1 the run failed (one line says why), 2 wrong usage.
#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <iostream>
#include <iterator>
#include <new>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <ydistill/tensor/edit_distance.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/short_waits.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/progress.h>

namespace ydistill::tools {

void print_json(const std::string& text) {
  fmt::print("{}\n", text);
}

void say(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

void message(const std::string& text) {
  say(text + "\n");
}

}  // namespace ydistill::tools

namespace {

using namespace ydistill::tools;

/// Message for a word that is not a command, with the nearest command.
std::string no_such_command(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return fmt::format("\"{}\" is not a command; did you mean {}? Commands: {}", word,
                     ydistill::nearest_of(names, word), fmt::join(names, ", "));
}

/// Message for an option that a command does not have, with one of similar spelling.
std::string no_such_option(const CLI::App& command, const std::string& word) {
  const std::string given = word.substr(0, word.find('='));
  std::string nearest;
  size_t least = given.size() < 6 ? 2 : 3;  // edits; beyond that it is a different word
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) {
      const size_t distance = size_t(ydistill::edit_distance("--" + name, given));
      if (distance >= least) continue;
      least = distance;
      nearest = "--" + name;
    }
  }
  const bool takes_keys = command.get_option_no_throw("overrides") != nullptr;
  const char* hint = takes_keys ? " (a config's keys are given as key.path=value)" : "";
  return fmt::format("{} has no option {}{}", command.get_name(), given,
                     nearest.empty() ? hint : fmt::format(" (did you mean {}?)", nearest));
}

/// What is wrong with the command line.
std::string problem_of(const CLI::App& app, const CLI::ParseError& error) {
  const std::vector<std::string> rest = app.remaining();
  if (app.get_subcommands().empty() && !rest.empty()) {
    const std::string& first = rest.front();
    return first.starts_with("-") ? first + " is not an option; expected a command"
                                  : no_such_command(app, first);
  }
  for (const CLI::App* command : app.get_subcommands()) {
    for (const std::string& word : command->remaining()) {
      if (word.starts_with("-")) return no_such_option(*command, word);
    }
  }
  std::string text = error.what();
  const std::string not_converted = "Could not convert: ";
  const size_t equals = text.find(" = ");
  if (text.starts_with(not_converted) && equals != std::string::npos) {
    return fmt::format("{}: expected a number, got \"{}\"",
                       text.substr(not_converted.size(), equals - not_converted.size()),
                       text.substr(equals + 3));
  }
  const std::string given_more_than_once = "At Most 1 required but received ";
  const size_t at = text.find(given_more_than_once);
  if (at != std::string::npos)
    text.replace(at, given_more_than_once.size(), "expected one value, got ");
  return text;
}

/// One line: what is wrong, and which command's --help to read.
std::string wrong_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::string command = app.get_name();
  for (const CLI::App* parsed : app.get_subcommands()) command += " " + parsed->get_name();
  return fmt::format("{}; see {} --help", ydistill::printable(problem_of(app, error)), command);
}

/// Whether a program waits for events on standard output, as far as this is known when the options
/// are wrong.
bool is_training_for_programs(int argc, char** argv) {
  const std::span args(argv, size_t(argc));
  const auto is = [](const char* wanted) {
    return [wanted](const char* arg) { return std::strcmp(arg, wanted) == 0; };
  };
  return argc > 1 && is("train")(args[1]) && std::any_of(args.begin(), args.end(), is("--json"));
}

/// Refuses empty values, which unset shell variables give: no option has a meaning for them.
void refuse_empty_values(CLI::App& command) {
  for (CLI::Option* option : command.get_options()) {
    option->check([](const std::string& value) {
      return value.empty() ? "expected a value, got an empty one" : "";
    });
  }
}

int run_command(int argc, char** argv) {
  CLI::App app{"Train, distil and run YOLOv5 detectors.", "ydistill"};
  app.require_subcommand(1);
  app.set_version_flag("--version", YD_VERSION);
  std::vector<std::pair<CLI::App*, Run>> commands;
  for (Run (*add)(CLI::App&) : {add_train, add_evolve, add_val, add_detect, add_video, add_check,
                                add_label, add_convert, add_quantize, add_export, add_convert_data,
                                add_info, add_compare, add_report, add_trace, add_config}) {
    Run run = add(app);
    commands.emplace_back(app.get_subcommands({}).back(), std::move(run));
    refuse_empty_values(*commands.back().first);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    const std::string problem = wrong_usage(app, error);
    if (is_training_for_programs(argc, argv)) JsonProgress().error(problem);
    throw ydistill::ConfigError("{}", problem);
  }
  for (const auto& [command, run] : commands) {
    if (command->parsed()) return run();
  }
  return kWrongUsage;
}

/// Whether the command computes; only these gain from how threads wait.
bool is_for_threads(int argc, char** argv) {
  constexpr const char* kCommands[] = {"train", "evolve", "val",  "detect",
                                       "video", "label",  "trace"};
  return argc > 1 && std::any_of(std::begin(kCommands), std::end(kCommands),
                                 [&](const char* c) { return std::strcmp(c, argv[1]) == 0; });
}

/// Whether all output was written. The reason is known only if the last write failed.
bool is_output_written() {
  errno = 0;
  std::cout.flush();  // the same buffer as stdout's
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout) return true;
  message(fmt::format("ydistill: standard output: cannot be written{}{}", errno != 0 ? ": " : "",
                      errno != 0 ? std::strerror(errno) : ""));
  return false;
}

/// Opens standard streams that were closed at the start, but not for writing: otherwise the next
/// file would get their number, and messages would be written into it.
void keep_numbers_of_standard_streams() {
  for (int number = 0; number <= 2; ++number) {
    // open() returns the lowest free number, and all below this one are in use.
    if (fcntl(number, F_GETFD) == -1 && errno == EBADF) (void)!open("/dev/null", O_RDONLY);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (is_for_threads(argc, argv)) ydistill::restart_with_short_waits(argv);
  keep_numbers_of_standard_streams();
  std::signal(SIGXFSZ, SIG_IGN);  // writing too large a file then fails like a full disk
  int code = kRunFailed;
  std::string problem;
  try {
    code = run_command(argc, argv);
  } catch (const ydistill::ConfigError& error) {
    problem = error.what();
    code = kWrongUsage;
  } catch (const std::bad_alloc&) {
    problem = "out of memory";
  } catch (const std::system_error& error) {
    if (std::ferror(stdout) == 0) problem = error.what();  // else reported below
  } catch (const std::exception& error) {
    problem = error.what();
  }
  if (!problem.empty()) {
    message("ydistill: " + problem);
  } else if (!is_output_written() && code == 0) {
    return kRunFailed;
  }
  return code;
}
