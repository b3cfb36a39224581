// SPDX-License-Identifier: MIT
// Whether results will find a place, asked before the work that leads to them.
#pragma once

#include <filesystem>

namespace ydistill {

/// Makes a file in the folder or, where that is not there yet, in the nearest one above it that is,
/// and removes it at once. throws FileError naming the folder and the system's reason.
void check_folder_is_writable(const std::filesystem::path& folder);

/// The same for one file, whose folder has to be there. throws FileError.
void check_file_has_place(const std::filesystem::path& file);

}  // namespace ydistill
