// SPDX-License-Identifier: MIT
// Identifies a file that was expected to be a PyTorch checkpoint, for helpful messages.
#pragma once

#include <filesystem>
#include <string>

namespace ydistill {

/// Looks at the first bytes. "" for a zip archive; else a sentence without a subject: "is a Git LFS
/// pointer, not the file itself; fetch it with 'git lfs pull'".
/// throws FileError if the file is missing or cannot be read.
std::string why_not_zip(const std::filesystem::path& path);

}  // namespace ydistill
