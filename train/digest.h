// SPDX-License-Identifier: MIT
// Short texts that differ where data differs.
#pragma once

#include <filesystem>
#include <string>

#include <ydistill/data/dataset.h>

namespace ydistill {

/// Of the number of pictures, their sizes and their labels, in order; not of paths or pixels.
std::string digest_of(const Dataset& dataset);

/// Of a file's bytes. throws FileError.
std::string digest_of(const std::filesystem::path& file);

}  // namespace ydistill
