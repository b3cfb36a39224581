// SPDX-License-Identifier: MIT
// Reads whole text files.
#pragma once

#include <filesystem>
#include <string>

namespace ydistill {

/// All bytes of a file or a pipe. throws FileError naming it: missing, a folder, a device, or the
/// system's reason.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace ydistill
