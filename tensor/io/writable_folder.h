// SPDX-License-Identifier: MIT
// Checks, before long work, that its results can be written.
#pragma once

#include <filesystem>

namespace ydistill {

/// Creates a file in the folder or, if that does not exist yet, in the nearest existing parent, and
/// removes it at once. throws FileError with the folder and the system's reason.
void check_folder_is_writable(const std::filesystem::path& folder);

/// The same for one file, whose folder must exist. throws FileError.
void check_file_has_place(const std::filesystem::path& file);

}  // namespace ydistill
