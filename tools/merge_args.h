// SPDX-License-Identifier: MIT
// --merge: several classes that count as one.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>

namespace ydistill::tools {

/// Adds --merge NAME=CLASS,CLASS, given once per merge; its form is checked.
void add_merge_option(CLI::App& command, std::vector<std::string>& words);
/// The merges of these words. names: the existing classes, if known. throws ConfigError, with the
/// command's name, in the cases where check_merges throws.
ClassMerges merges_of(const std::vector<std::string>& words, const std::string& command,
                      const std::vector<std::string>* names = nullptr);

}  // namespace ydistill::tools
