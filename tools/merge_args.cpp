// SPDX-License-Identifier: MIT
#include <ydistill/tools/merge_args.h>

#include <ydistill/tensor/error.h>

namespace ydistill::tools {
namespace {

/// What is wrong with a word; empty if nothing.
std::string check_form(const std::string& word) {
  try {
    parse_merge(word);
    return "";
  } catch (const ValueError& problem) {
    return problem.what();
  }
}

}  // namespace

void add_merge_option(CLI::App& command, std::vector<std::string>& words) {
  command.add_option("--merge", words, "classes that count as one: --merge vehicle=car,bus,truck")
      ->check(check_form)
      ->allow_extra_args(false);  // the next argument may be a path
}

ClassMerges merges_of(const std::vector<std::string>& words, const std::string& command,
                      const std::vector<std::string>* names) {
  ClassMerges merges;
  for (const std::string& word : words) merges.push_back(parse_merge(word));
  try {
    if (names != nullptr) {
      check_merges(merges, *names);
    } else {
      check_merges(merges);
    }
  } catch (const ValueError& error) {
    throw ConfigError("{}: --merge: {}", command, error.what());
  }
  return merges;
}

}  // namespace ydistill::tools
