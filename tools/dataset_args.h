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

/// --to, --out, --pictures. to_default: "" where --to has to be given.
void add_dataset_output_options(CLI::App& command, DatasetOutputArgs& args,
                                const std::string& to_default = "");

/// Told before the reading, not after it. throws FileError where --out exists or cannot be made;
/// ConfigError, with the command's name, for a split that cannot be called so.
void check_dataset_output(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                          const std::string& command);

/// The members "train" and "val" of a config's "data" that read what was written: the splits of
/// these names, else the first and the second.
std::string how_to_name(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                        const std::vector<std::string>& names);

}  // namespace ydistill::tools
