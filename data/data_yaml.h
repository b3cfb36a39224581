// SPDX-License-Identifier: MIT
// Ultralytics' data.yaml: where a YOLO data set lies and what its classes are called.
//
//   path: ../datasets/coco128        # root of the set; the file's own folder where it is missing
//   train: images/train2017          # a folder, a list file, or a list of those
//   val: images/val2017
//   test:                            # optional
//   names: {0: person, 1: bicycle}   # or a list
//   nc: 2                            # optional; must agree with names
//   download: https://...            # told, never done
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace ydistill {

/// What one of the file's splits holds.
struct DataYaml {
  std::vector<std::filesystem::path> paths;  ///< folders and list files that exist, one or more
  std::vector<std::string> names;            ///< by class id
  std::vector<std::string> notes;            ///< where things were found; `download`
};

/// Reads one split (train, val or test). A relative `path` and relative entries start at the file's
/// folder; where nothing is there, at the folder above it, which is where YOLOv5 starts for the
/// files of its own data/ folder; and "../x" is tried as "x", as exports of Roboflow need it. The
/// first that exists is taken; a note says so where it is not the first.
/// Names: a list, or a map with the keys 0 to n-1. With `nc` alone they are "class0", "class1", ...
/// throws FileError as "FILE:LINE: what is wrong".
DataYaml read_data_yaml(const std::filesystem::path& file, const std::string& split);

/// Those of train, val and test that the file names, in that order. throws FileError.
std::vector<std::string> data_yaml_splits(const std::filesystem::path& file);

}  // namespace ydistill
