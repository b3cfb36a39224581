// SPDX-License-Identifier: MIT
// Ultralytics' data.yaml: where a YOLO data set is located and what its classes are called.
//
//   path: ../datasets/coco128        # root of the set; default: the folder of this file
//   train: images/train2017          # a folder, a list file, or a list of those
//   val: images/val2017
//   test:                            # optional
//   names: {0: person, 1: bicycle}   # or a list
//   nc: 2                            # optional; must agree with names
//   download: https://...            # reported, never done
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ydistill {

/// What one of the file's splits holds.
struct DataYaml {
  std::vector<std::filesystem::path> paths;  ///< folders and list files that exist, one or more
  std::vector<std::string> names;            ///< by class id
  std::vector<std::string> notes;            ///< which fallback folders were used; `download`
};

/// Reads one split (train, val or test). A relative `path` and relative entries are resolved from
/// the file's folder; if nothing exists there, from the folder above it, as YOLOv5 does for the
/// files of its own data/ folder; and "../x" is tried as "x", which exports of Roboflow need. The
/// first that exists is taken; a note reports it if it is not the first candidate.
/// Names: a list, or a map with the keys 0 to n-1. With only `nc` they are "class0", "class1", ...
/// throws FileError as "FILE:LINE: what is wrong".
DataYaml read_data_yaml(const std::filesystem::path& file, const std::string& split);

/// The splits among train, val and test that the file has, in that order. throws FileError.
std::vector<std::string> data_yaml_splits(const std::filesystem::path& file);

}  // namespace ydistill
