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
  /// Which pictures and films of a folder are of kinds that are not read, in one line; empty: none.
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

/// On all threads; one that is no picture has `problem` in place of an image.
std::vector<ReadPicture> read_pictures(std::span<const std::filesystem::path> paths);
/// The first ones, those to read together where the network sees `batch` at a time: one decodes on
/// one thread, so as many as there are threads, as far as they have 128 megapixels in all. Whole
/// batches, and at least one.
std::span<const std::filesystem::path> read_together(std::span<const std::filesystem::path> paths,
                                                     size_t batch = 1);

}  // namespace ydistill::tools
