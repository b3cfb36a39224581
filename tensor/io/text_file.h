// SPDX-License-Identifier: MIT
// Files of text as a whole.
#pragma once

#include <filesystem>
#include <string>

namespace ydistill {

/// All bytes of a file or a pipe. throws FileError naming it: missing, a folder, a device, or what
/// the system says.
std::string read_text_file(const std::filesystem::path& path);

}  // namespace ydistill
