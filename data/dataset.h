// SPDX-License-Identifier: MIT
// Lists of pictures with their labels: YOLO text labels, Pascal VOC XML, COCO JSON,
// Ultralytics' data.yaml.
//
// Nothing is dropped silently: a fault of a picture or a label becomes a Finding, and reading
// continues. It fails only if no picture is left.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/data/class_merge.h>

namespace ydistill {

/// An object: its class and its box, as fractions of the (upright) picture's width and height.
struct Label {
  int64_t class_id = 0;
  double cx = 0, cy = 0;  ///< centre
  double w = 0, h = 0;    ///< size, > 0
  /// The outline where the file gives one: x, y in fractions of the picture, three points or more.
  std::vector<std::array<float, 2>> polygon = {};

  bool operator==(const Label&) const = default;
};

struct Sample {
  std::filesystem::path image;
  int64_t width = 0;   ///< pixels, after EXIF orientation
  int64_t height = 0;  ///< pixels, after EXIF orientation
  std::vector<Label> labels;
  /// False: the picture was never annotated, so an empty `labels` says nothing. True without
  /// labels: a background picture.
  bool labelled = true;
  /// COCO: its id in the file, as JSON text. Empty for other kinds.
  std::string coco_id = {};
};

/// Something wrong with the data, and what was done about it.
struct Finding {
  std::filesystem::path file;
  int64_t line = 0;    ///< counted from 1; 0: the whole file
  std::string reason;  ///< "5 columns wanted, 4 found"
  std::string effect;  ///< "label dropped", "picture dropped", "kept"

  /// "labels/a.txt:3: 5 columns wanted, 4 found (label dropped)"
  std::string str() const;
};

struct Dataset {
  std::vector<Sample> samples;
  std::vector<std::string> names;  ///< by class id
  /// The names before classes were merged (DataSource::merge); empty without a merge.
  std::vector<std::string> names_before_merge = {};
  /// COCO: category id of each class; -1 for a class that is not in the file or that was merged
  /// from several. Empty for other kinds, and if all classes became one.
  std::vector<int64_t> coco_category_ids = {};
  std::vector<Finding> findings;
  std::vector<std::string> notes;  ///< information for the user that is no fault, one line each
  int64_t pictures_dropped = 0;
  int64_t labels_dropped = 0;  ///< of kept pictures; each has a finding
  int64_t labels_ignored = 0;  ///< crowd regions and `difficult` objects: no faults, no findings

  int64_t num_labels() const;
  int64_t num_unlabelled() const;  ///< pictures
  /// "205 pictures, 2533 labels, 3 classes; dropped: 0 pictures, 3 labels; ignored: 0 labels"
  std::string summary() const;
};

enum class Classes {
  kAll,
  kSingle,  ///< all become one, see load_dataset
};

struct DataSource {
  enum class Kind { kYolo, kVoc, kCoco, kYaml, kPictures };
  Kind kind = Kind::kYolo;
  /// YOLO: a folder of pictures, searched with its subfolders, or a text file with one picture path
  /// per line, relative to that file. VOC: the folder with Annotations, ImageSets and JPEGImages.
  /// COCO: the JSON file. YAML: Ultralytics' data.yaml, see data_yaml.h. Pictures: as YOLO, but
  /// labels are not read: no picture is `labelled`.
  std::filesystem::path path;
  std::string split;  ///< VOC: the file NAME.txt in ImageSets/Main; YAML: train, val, test
  std::filesystem::path images;  ///< COCO: the folder that `file_name` is relative to
  std::vector<std::filesystem::path> more = {};  ///< YOLO: further folders or lists, after `path`
  /// Folder for the cache of picture sizes and labels (label_cache.h); empty: no cache.
  std::filesystem::path cache_folder = {};
  Classes classes = Classes::kAll;
  /// Classes that count as one; see load_dataset.
  ClassMerges merge = {};
  /// Called between pictures, by the calling thread; true cancels reading. Empty: never.
  std::function<bool()> stop = {};
};

/// Pictures with a side below this, in pixels, are dropped, as in YOLOv5.
inline constexpr int64_t kMinPictureSide = 10;
/// Class ids of YOLO labels without names must be below this.
inline constexpr int64_t kMaxClasses = 10000;

/// Reads a data source. Each picture's header is read (in parallel, by threads of this call), which
/// gives the sizes and finds unusable pictures. Order of the samples: sorted paths for a folder,
/// the file's order for a list, a split or a COCO file.
///
/// names: the classes in order. Empty: for VOC the names found, sorted; for COCO its categories by
/// ascending id; for YAML the names of that file; for YOLO "class0", "class1", ... up to the
/// largest id in use. VOC and COCO classes are matched to given names by name; objects of other
/// classes are dropped, in one finding. A YAML file that has all of the given names is
/// matched by name too. Otherwise, given names of the same number replace its own by id, which a
/// note reports; another number is refused.
///
/// source.merge: labels of a merge's classes get the class that it names; a note reports each
/// merge. `names` may be those after or before the merge, and are matched by name. For YOLO labels,
/// which have only ids, and for a YAML file with as many other names, they are the names before the
/// merge, in the order of the ids.
///
/// Classes::kSingle: every object becomes class 0. If one name is given, or the YAML file has only
/// one, objects of any id or name are taken, and the class has that name; several given names
/// select the classes that are taken. Without a single name the class is called "object". A note
/// reports how many classes became one.
///
/// YOLO labels: for `a/images/b/c.jpg` the file `a/labels/b/c.txt` (the last component `images`
/// counts), else `c.txt` beside the picture; neither: a background picture. A line is class, cx,
/// cy, w, h in 0..1, or class and three or more polygon points, which become the outline and the
/// box around it. A line is dropped for another number of columns, a value that is not a number, a
/// class that is no integer or has no name, a value outside 0..1 by more than 1e-6 (less is
/// clipped), a size of 0, or if it repeats an earlier line.
///
/// VOC: corners are taken unchanged (YOLOv5's own converter shifts them by a pixel) and clipped to
/// the picture. `difficult` objects are ignored, in training and in validation, as in YOLOv5's
/// conversion of VOC: they are neither labels nor missed truth.
///
/// COCO: category ids become 0..n-1 in ascending order. Crowd regions are neither labels nor truth.
/// The box is `bbox`; the outline is `segmentation` where that is a list of polygons, several of
/// them joined into one (outline.h). Run-length masks are ignored.
/// Pictures without annotations are background.
///
/// Boxes without area (after clipping) are dropped, with a finding. A picture's size is read from
/// its own header; an annotation with another size becomes a finding.
///
/// throws FileError for a source that is missing, malformed or without a usable picture (the
/// message then has the number dropped and the first reason); ValueError as check_merges;
/// ConfigError for a merge of classes that have no names, and for names that a YAML file does not
/// have; StoppedError if source.stop returns true.
Dataset load_dataset(const DataSource& source, const std::vector<std::string>& names = {});

/// Whether `all` has each of the names exactly once: a data.yaml with the names `all` is then read
/// by name.
bool are_among(const std::vector<std::string>& names, const std::vector<std::string>& all);

/// Appends the pictures of a source without labels to `dataset`. A picture that is already there,
/// as the same file, is left out with a finding, because its labels are known.
void add_unlabelled(Dataset& dataset, Dataset unlabelled);

/// $XDG_CACHE_HOME/ydistill, else ~/.cache/ydistill; empty if neither is known.
std::filesystem::path default_cache_folder();

/// Loads several parts of one dataset with common names: those given, else all names of the parts
/// (VOC: sorted; other kinds: in order of first appearance). throws as load_dataset does.
std::vector<Dataset> load_splits(std::span<const DataSource> sources,
                                 const std::vector<std::string>& names = {});

}  // namespace ydistill
