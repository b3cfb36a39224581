// SPDX-License-Identifier: MIT
// Which pictures there are and what is on them: YOLO text labels, Pascal VOC XML, COCO JSON,
// Ultralytics' data.yaml.
//
// Nothing is dropped silently: what is wrong with a picture or a label becomes a Finding, and the
// rest goes on. Only when no picture is left does reading fail.
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
  /// False: nobody has looked at this picture, so an empty `labels` says nothing. True with no
  /// labels: there is nothing on it.
  bool labelled = true;
  /// COCO: its id in the file, as JSON writes it. Empty for other kinds.
  std::string coco_id = {};
};

/// Something wrong with the data, and what was done about it.
struct Finding {
  std::filesystem::path file;
  int64_t line = 0;    ///< from 1; 0: the file as a whole
  std::string reason;  ///< "5 columns wanted, 4 found"
  std::string effect;  ///< "label dropped", "picture dropped", "kept"

  /// "labels/a.txt:3: 5 columns wanted, 4 found (label dropped)"
  std::string str() const;
};

struct Dataset {
  std::vector<Sample> samples;
  std::vector<std::string> names;  ///< by class id
  /// What they were before some became one (DataSource::merge); empty where none did.
  std::vector<std::string> names_before_merge = {};
  /// COCO: of each class in the file, -1 for one that it has not or that several became. Empty for
  /// other kinds, and where all classes became one.
  std::vector<int64_t> coco_category_ids = {};
  std::vector<Finding> findings;
  std::vector<std::string>
      notes;  ///< what a user should know though nothing is wrong, one line each
  int64_t pictures_dropped = 0;
  int64_t labels_dropped = 0;  ///< of kept pictures; each has a finding
  int64_t labels_ignored = 0;  ///< crowd regions and `difficult` objects: not faults, no findings

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
  /// a line, relative to that file. VOC: the folder with Annotations, ImageSets and JPEGImages.
  /// COCO: the JSON file. YAML: Ultralytics' data.yaml, see data_yaml.h. Pictures: as YOLO, but
  /// nobody looks for labels: none is `labelled`.
  std::filesystem::path path;
  std::string split;  ///< VOC: the file NAME.txt in ImageSets/Main; YAML: train, val, test
  std::filesystem::path images;  ///< COCO: the folder that `file_name` is relative to
  std::vector<std::filesystem::path> more = {};  ///< YOLO: further folders or lists, after `path`
  /// Where what was read of pictures and label files is kept for the next time (label_cache.h);
  /// empty: nowhere.
  std::filesystem::path cache_folder = {};
  Classes classes = Classes::kAll;
  /// Classes that count as one, see load_dataset.
  ClassMerges merge = {};
  /// Asked between pictures, by the calling thread: true gives the reading up. Empty: never.
  std::function<bool()> stop = {};
};

/// Pictures narrower or lower than this are dropped, as YOLOv5 does.
inline constexpr int64_t kMinPictureSide = 10;
/// Class ids of YOLO labels without names must be below this.
inline constexpr int64_t kMaxClasses = 10000;

/// Reads a data source. Each picture's header is read (in parallel, by threads of this call), so
/// that sizes are known and unusable pictures are found now. The order is: sorted paths for a
/// folder, the file's order for a list, a split or a COCO file.
///
/// names: the classes in order. Empty: for VOC the names found, sorted; for COCO its categories by
/// ascending id; for YAML the names of that file; for YOLO "class0", "class1", ... up to the
/// largest id in use. VOC and COCO classes are matched to given names by name, and objects of other
/// classes are dropped, which one finding says. A YAML file that has all of the given names is
/// matched by name too. As many other names replace its own, which a note says, and ids count;
/// fewer or more are refused.
///
/// source.merge: labels of the classes of a merge are of the class that it names; a note says what
/// became of each. `names` may be those afterwards or those before, and are matched by name. Beside
/// YOLO labels, which have only ids, and a YAML file with as many other names, they are those
/// before, in the order of the ids.
///
/// Classes::kSingle: every object becomes class 0. Where one name is given, or the YAML file has
/// only one, objects of any id or name are taken, and the class has that name; several given names
/// are the classes that are taken. It is called "object" where no name stands out, and a note says
/// how many classes became one.
///
/// YOLO labels: for `a/images/b/c.jpg` the file `a/labels/b/c.txt` (the last component `images`
/// counts), else `c.txt` beside the picture; neither: a background picture. A line is class, cx,
/// cy, w, h in 0..1, or class and three or more polygon points, which become the outline and
/// the box around it. A
/// line is dropped for another number of columns, what is not a number, a class that is no integer
/// or has no name, a value outside 0..1 by more than 1e-6 (less is clipped), a size of 0, or for
/// repeating an earlier line.
///
/// VOC: corners are taken as they stand (YOLOv5's own converter shifts them by a pixel) and clipped
/// to the picture. `difficult` objects are left out, in training and in validation alike, as in
/// YOLOv5's conversion of VOC: they are neither labels nor missed truth.
///
/// COCO: category ids become 0..n-1 in ascending order. Crowd regions are neither labels nor truth.
/// The box is `bbox`; the outline is `segmentation` where that is a list of polygons, several of
/// them joined into one (outline.h). Masks in run lengths are left aside.
/// Pictures without annotations are background.
///
/// Boxes without area (after clipping) are dropped and listed. The size of a picture is its own; a
/// file that says otherwise is listed.
///
/// throws FileError: a source that is missing or malformed, or without one usable picture; the
/// message then says how many were dropped and the first reason. ValueError as check_merges;
/// ConfigError for a merge of classes that have no names, and for names that a YAML file has not.
/// StoppedError where source.stop says so.
Dataset load_dataset(const DataSource& source, const std::vector<std::string>& names = {});

/// Whether each of the names stands in `all`, once: a data.yaml with the names `all` is then read
/// by name.
bool are_among(const std::vector<std::string>& names, const std::vector<std::string>& all);

/// Puts the pictures of a source without labels behind those of `dataset`. A picture that is there
/// already, as a file, is left out and listed: what has labels needs no guess.
void add_unlabelled(Dataset& dataset, Dataset unlabelled);

/// $XDG_CACHE_HOME/ydistill, else ~/.cache/ydistill; empty where neither is known.
std::filesystem::path default_cache_folder();

/// Several parts of one dataset, with the same names in all: those given, or else all that the
/// parts have (VOC: sorted; other kinds: in the order they come up). throws as load_dataset does.
std::vector<Dataset> load_splits(std::span<const DataSource> sources,
                                 const std::vector<std::string>& names = {});

}  // namespace ydistill
