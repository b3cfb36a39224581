// SPDX-License-Identifier: MIT
// Files written where none was.
#pragma once

#include <filesystem>
#include <string_view>

namespace ydistill {

/// Writes a file that must not exist yet. throws FileError naming it and the system's reason (no
/// space left, ...); what was written until then is removed.
void write_new_file(const std::filesystem::path& file, std::string_view text);

/// Copies bytes and permissions into a file that must not exist yet. throws FileError naming both
/// files and the system's reason.
void copy_to_new_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace ydistill
