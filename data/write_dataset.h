// SPDX-License-Identifier: MIT
// Datasets written in one of the three formats, with the pictures: what `ydistill convert-data`
// does.
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

/// Writes the splits, which share their names, into the new folder `out`:
///
///   YOLO  data.yaml, images/SPLIT/*, labels/SPLIT/*.txt. Objects with an outline become segment
///         lines; in a picture that has any, the others become the four corners of their box,
///         because YOLOv5 reads such a file as segments throughout.
///   VOC   JPEGImages/*, Annotations/*.xml, ImageSets/Main/SPLIT.txt. Corners in pixels as they
///   are,
///         whole numbers without a point, others with up to three decimals. Outlines are lost.
///   COCO  images/SPLIT/*, annotations/instances_SPLIT.json. Category ids count from 1.
///
/// Pictures keep their names; where two would get in each other's way (also a.jpg and a.png, whose
/// labels share a name) the later is called a_2. Pictures that nobody has looked at
/// (Sample::labelled) go without a label file in YOLO and are left out in the other two.
/// All is written beside `out` first and renamed at the end: `out` is whole or not there.
/// throws FileError: `out` exists, something cannot be written or linked; ValueError for splits
/// whose class names differ, and as check_split_names; StoppedError where `stop`, asked between
/// pictures, says so.
void write_dataset(std::span<const DatasetSplit> splits, DatasetFormat format,
                   PictureTransfer transfer, const std::filesystem::path& out,
                   const std::function<bool()>& stop = {});

/// What splits may be called. throws ValueError for a name that is no word of letters, digits, -, _
/// and ., is a word that YAML reads as a value ("null", "yes"), is given twice, or (YOLO) is
/// another key of data.yaml.
void check_split_names(std::span<const std::string> names, DatasetFormat format);

}  // namespace ydistill
