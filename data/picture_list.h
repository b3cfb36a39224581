// SPDX-License-Identifier: MIT
// The pictures of a YOLO source. Internal: users call load_dataset.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill::reading {

struct ListedPicture {
  std::filesystem::path path;
  std::filesystem::path listed_in;  ///< the folder or the list that named it
  int64_t line = 0;                 ///< in a list, from 1; 0: found in a folder
};

struct PictureList {
  std::vector<ListedPicture> pictures;
  std::vector<Finding> findings;
};

/// The pictures of a folder and its subfolders, sorted by path, or those of a list file (one path
/// per line, relative to that file) in its order. Files of unsupported formats (.webp, .tif, ...)
/// are included, so that they are not dropped silently. Links to folders are followed, but every
/// folder is read once: a link to one already read becomes a finding, so loops end.
/// throws FileError if `source` cannot be read.
PictureList list_pictures(const std::filesystem::path& source);

/// ".jpg" of "A.JPG".
std::string lower_suffix(const std::filesystem::path& path);
/// True for .jpg, .jpeg, .png, .bmp, whatever the case.
bool has_picture_suffix(const std::filesystem::path& path);
/// True for pictures of formats that other tools read and this one does not: .webp, .tif, ...
bool has_foreign_picture_suffix(const std::filesystem::path& path);

}  // namespace ydistill::reading
