// SPDX-License-Identifier: MIT
// What the commands that write data sets share.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include <ydistill/data/write_dataset.h>

namespace ydistill::tools {

struct DatasetOutputArgs {
  std::string to, out;
  std::string pictures = "copy";

  DatasetFormat format() const;
  PictureTransfer transfer() const;
};

/// Adds --to, --out, --pictures. to_default: "" makes --to required.
void add_dataset_output_options(CLI::App& command, DatasetOutputArgs& args,
                                const std::string& to_default = "");

/// Call it before reading the data. throws FileError if --out exists or cannot be created;
/// ConfigError, with the command's name, if a split cannot have its name.
void check_dataset_output(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                          const std::string& command);

/// The members "train" and "val" of a config's "data" that read what was written: the splits of
/// these names, else the first and the second.
std::string how_to_name(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                        const std::vector<std::string>& names);

}  // namespace ydistill::tools
