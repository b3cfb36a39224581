// SPDX-License-Identifier: MIT
// Writes files that must not exist yet.
#pragma once

#include <filesystem>
#include <string_view>

namespace ydistill {

/// Writes a file that must not exist yet. throws FileError with its name and the system's reason
/// (no space left, ...); a partly written file is removed.
void write_new_file(const std::filesystem::path& file, std::string_view text);

/// Copies bytes and permissions into a file that must not exist yet. throws FileError naming both
/// files and the system's reason.
void copy_to_new_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace ydistill
