// SPDX-License-Identifier: MIT
// Writes datasets in one of the three formats, with the pictures: `ydistill convert-data`.
#pragma once

#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill {

enum class DatasetFormat { kYolo, kVoc, kCoco };
enum class PictureTransfer { kCopy, kHardLink, kSymbolicLink };

struct DatasetSplit {
  std::string name;  ///< "train", "val": part of file names
  const Dataset* data = nullptr;
};

/// Writes the splits, which have the same class names, into the new folder `out`:
///
///   YOLO  data.yaml, images/SPLIT/*, labels/SPLIT/*.txt. Objects with an outline become segment
///         lines; in a picture that has any, the others become the four corners of their box,
///         because YOLOv5 reads such a file as segments throughout.
///   VOC   JPEGImages/*, Annotations/*.xml, ImageSets/Main/SPLIT.txt. Corners in pixels, not
///         shifted; whole numbers without a point, others with up to three decimals. Outlines are
///         lost.
///   COCO  images/SPLIT/*, annotations/instances_SPLIT.json. Category ids count from 1.
///
/// Pictures keep their names; if two collide (also a.jpg and a.png, whose labels share a name), the
/// later is called a_2. Pictures that are not labelled (Sample::labelled) have no label file in
/// YOLO and are left out in the other two formats.
/// All is written next to `out` first and renamed at the end, so `out` is complete or does not
/// exist.
/// throws FileError: `out` exists, something cannot be written or linked; ValueError for splits
/// whose class names differ, and as check_split_names; StoppedError if `stop`, called between
/// pictures, returns true.
void write_dataset(std::span<const DatasetSplit> splits, DatasetFormat format,
                   PictureTransfer transfer, const std::filesystem::path& out,
                   const std::function<bool()>& stop = {});

/// Checks names of splits. throws ValueError for a name that is no word of letters, digits, -, _
/// and ., is a word that YAML reads as a value ("null", "yes"), occurs twice, or (YOLO) is another
/// key of data.yaml.
void check_split_names(std::span<const std::string> names, DatasetFormat format);

}  // namespace ydistill
