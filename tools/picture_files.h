// SPDX-License-Identifier: MIT
// The picture files that --source of `detect` and `label` names, and what is in them.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/image.h>

namespace ydistill::tools {

struct PictureFiles {
  std::vector<std::filesystem::path> paths;  ///< sorted, at least one
  /// One line on the folder's pictures and videos of kinds that are not read; empty if none.
  std::string left_out;
};

/// A file, the pictures of a folder without its subfolders, or those a pattern matches.
/// throws FileError where there is no picture.
PictureFiles pictures_of(const std::string& source);

struct ReadPicture {
  std::filesystem::path path;
  Image image;
  std::string problem;  ///< why it could not be read; else empty
};

/// Reads on all threads; a file that is not a picture has `problem` instead of an image.
std::vector<ReadPicture> read_pictures(std::span<const std::filesystem::path> paths);
/// The first paths: as many as should be read together if the network gets `batch` at a time. A
/// picture is decoded by one thread, so there are as many as threads, but at most 128 megapixels in
/// all; whole batches, and at least one.
std::span<const std::filesystem::path> read_together(std::span<const std::filesystem::path> paths,
                                                     size_t batch = 1);

}  // namespace ydistill::tools
