// SPDX-License-Identifier: MIT
// The picture files that --source of `detect` names.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ydistill::tools {

struct PictureFiles {
  std::vector<std::filesystem::path> paths;  ///< sorted, at least one
  /// Which pictures and films of a folder are of kinds that are not read, in one line; empty: none.
  std::string left_out;
};

/// A file, the pictures of a folder without its subfolders, or those a pattern matches.
/// throws FileError where there is no picture.
PictureFiles pictures_of(const std::string& source);

}  // namespace ydistill::tools
