// SPDX-License-Identifier: MIT
#include <ydistill/tools/merge_args.h>

#include <fmt/format.h>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::tools {
namespace {

std::string without_blanks_around(const std::string& text) {
  const size_t begin = text.find_first_not_of(' '), end = text.find_last_not_of(' ');
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

ClassMerge merge_of(const std::string& word) {
  const size_t equals = word.find('=');
  ClassMerge merge{without_blanks_around(word.substr(0, equals)), {}};
  for (size_t begin = equals; begin != std::string::npos;) {
    const size_t end = word.find(',', begin + 1);
    const size_t count = end == std::string::npos ? end : end - begin - 1;
    merge.of.push_back(without_blanks_around(word.substr(begin + 1, count)));
    begin = end;
  }
  return merge;
}

/// Empty, or what is wrong about a word.
std::string check_form(const std::string& word) {
  const bool is_form = !word.starts_with('=') && word.find('=') != std::string::npos;
  if (is_form) return "";
  return fmt::format("NAME=CLASS,CLASS wanted, as vehicle=car,bus, got \"{}\"",
                     printable(word, 40));
}

}  // namespace

void add_merge_option(CLI::App& command, std::vector<std::string>& words) {
  command.add_option("--merge", words, "classes that count as one: --merge vehicle=car,bus,truck")
      ->check(check_form)
      ->allow_extra_args(false);  // what follows may be a path
}

ClassMerges merges_of(const std::vector<std::string>& words, const std::string& command) {
  ClassMerges merges;
  for (const std::string& word : words) merges.push_back(merge_of(word));
  try {
    check_merges(merges);
  } catch (const ValueError& error) {
    throw ConfigError("{}: --merge: {}", command, error.what());
  }
  return merges;
}

}  // namespace ydistill::tools
