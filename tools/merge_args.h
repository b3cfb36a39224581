// SPDX-License-Identifier: MIT
// --merge: several classes that count as one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>

namespace ydistill::tools {

/// --merge NAME=CLASS,CLASS, once a merge; the form is checked.
void add_merge_option(CLI::App& command, std::vector<std::string>& words);
/// What the words say. names: which classes there are, where that is known. throws ConfigError,
/// with the command's name, as check_merges.
ClassMerges merges_of(const std::vector<std::string>& words, const std::string& command,
                      const std::vector<std::string>* names = nullptr);

}  // namespace ydistill::tools
