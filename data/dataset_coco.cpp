// SPDX-License-Identifier: MIT
// COCO: one JSON file with images, annotations and categories.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include <nlohmann/json.hpp>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/label_cache.h>
#include <ydistill/data/outline.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::reading {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

struct Category {
  int64_t id = 0;
  std::string name;
  int64_t class_id = -1;    ///< -1: not among the names
  int64_t annotations = 0;  ///< annotations of a category without class
};

struct CocoBox {
  int64_t class_id = 0;
  double x = 0, y = 0, w = 0, h = 0;
  std::string what;                  ///< "annotation 17"
  std::vector<Polygon> pieces = {};  ///< in pixels
};

struct CocoPicture {
  std::string id;  ///< as JSON writes it
  std::string file_name;
  double width = 0, height = 0;
  bool has_size = false;
  std::vector<CocoBox> boxes;
  int64_t crowds = 0;
  int64_t labels_dropped = 0;
};

/// An integer, also written as 1.0.
std::optional<int64_t> integer_of(const Json& value) {
  if (value.is_number_integer()) return value.get<int64_t>();
  if (!value.is_number_float()) return std::nullopt;
  const double number = value.get<double>();
  if (number != std::floor(number) || std::abs(number) > 9e15) return std::nullopt;
  return int64_t(number);
}

/// An id as text, so that integers and strings are both accepted; nothing for other types.
std::optional<std::string> id_of(const Json& entry, const char* key) {
  if (!entry.is_object()) return std::nullopt;
  const auto found = entry.find(key);
  if (found == entry.end()) return std::nullopt;
  if (found->is_number_float()) {
    const std::optional<int64_t> integer = integer_of(*found);
    return integer ? std::optional(std::to_string(*integer)) : std::nullopt;
  }
  if (!found->is_number_integer() && !found->is_string()) return std::nullopt;
  return found->dump(-1, ' ', false, Json::error_handler_t::replace);
}

/// A value that is wrong, for a message.
std::string shown(const Json& entry, const char* key) {
  if (!entry.is_object() || !entry.contains(key)) return "missing";
  return printable(entry[key].dump(-1, ' ', false, Json::error_handler_t::replace), 40);
}

/// "category_id 9 is not among the categories", for a message.
std::string not_among(const Json& entry, const char* key, const char* list) {
  if (!entry.is_object() || !entry.contains(key)) return fmt::format("it has no {}", key);
  return fmt::format("{} {} is not among the {}", key, shown(entry, key), list);
}

std::optional<double> number_of(const Json& entry, const char* key) {
  const auto found = entry.find(key);
  if (found == entry.end() || !found->is_number()) return std::nullopt;
  return found->get<double>();
}

/// Polygons are most of such a file. During parsing each is moved into a table; in the tree a list
/// with its index remains, or null if it is no polygon. Run-length masks are discarded.
class PolygonSieve {
 public:
  explicit PolygonSieve(std::vector<Polygon>& table) : table_(&table) {}

  /// depth: of the event; a key and the beginning and end of its value have the same.
  bool operator()(int depth, Json::parse_event_t event, Json& value) {
    using Event = Json::parse_event_t;
    if (event == Event::key) {
      inside_ = value == "segmentation";
      key_depth_ = depth;
      return true;
    }
    if (!inside_) return true;
    const int arrays = depth - key_depth_;
    if (arrays < 0) {  // the value is over: it was a number, a text or null
      inside_ = false;
      return true;
    }
    if (event == Event::object_start) {
      inside_ = false;
      return arrays > 0;
    }
    if (event == Event::array_end) {
      if (arrays == 1) {
        if (std::optional<Polygon> polygon = polygon_of(value)) {
          table_->push_back(std::move(*polygon));
          value = Json::array({table_->size() - 1});
        } else {
          value = nullptr;
        }
      }
      inside_ = arrays > 0;
    }
    return true;
  }

 private:
  /// Numbers x y x y ..., of three points or more.
  static std::optional<Polygon> polygon_of(const Json& value) {
    if (value.size() < 6 || value.size() % 2 != 0) return std::nullopt;
    Polygon polygon;
    polygon.reserve(value.size() / 2);
    for (size_t i = 0; i + 1 < value.size(); i += 2) {
      if (!value[i].is_number() || !value[i + 1].is_number()) return std::nullopt;
      polygon.push_back({value[i].get<float>(), value[i + 1].get<float>()});
      if (!std::isfinite(polygon.back()[0]) || !std::isfinite(polygon.back()[1])) {
        return std::nullopt;
      }
    }
    return polygon;
  }

  std::vector<Polygon>* table_;  // the parser copies its callback
  bool inside_ = false;          // after a key "segmentation"
  int key_depth_ = 0;            // of that key
};

/// The joined outline of pieces given in pixels, as fractions of the picture.
Polygon outline_of(std::vector<Polygon> pieces, const Sample& sample) {
  Polygon outline = join_outlines(std::move(pieces));
  for (auto& [x, y] : outline) {
    x = std::clamp(x / float(sample.width), 0.0f, 1.0f);
    y = std::clamp(y / float(sample.height), 0.0f, 1.0f);
  }
  return outline;
}

class CocoFile {
 public:
  explicit CocoFile(const fs::path& path) : path_(path) {
    const std::string text = read_text(path);
    try {
      root_ = Json::parse(text, PolygonSieve(polygons_));
    } catch (const Json::exception& problem) {
      fail(fmt::format("malformed JSON: {}", json_problem(problem, text)));
    }
    if (!root_.is_object()) fail("not a COCO file: expected a JSON object");
  }

  void read_categories(std::vector<std::string>& names) {
    for (const Json& entry : list("categories")) {
      const std::optional<int64_t> whole =
          entry.is_object() && entry.contains("id") ? integer_of(entry["id"]) : std::nullopt;
      if (!whole || !entry.contains("name") || !entry["name"].is_string()) {
        fail(fmt::format("a category needs an integer id and a name; its id is {}, its name {}",
                         shown(entry, "id"), shown(entry, "name")));
      }
      const int64_t id = *whole;
      if (!categories_.emplace(id, Category{id, entry["name"].get<std::string>()}).second) {
        fail(fmt::format("category id {} is there twice", id));
      }
    }
    report_equal_names();
    if (names.empty()) {
      for (auto& [id, category] : categories_) {  // ascending
        const auto same = std::find(names.begin(), names.end(), category.name);
        category.class_id = same - names.begin();
        if (same == names.end()) names.push_back(category.name);
      }
      return;
    }
    const auto class_ids = ids_by_name(names);
    for (auto& [id, category] : categories_) {
      const auto found = class_ids.find(category.name);
      if (found != class_ids.end()) category.class_id = found->second;
    }
  }

  void read_pictures() {
    for (const Json& entry : list("images")) {
      const std::optional<std::string> id = id_of(entry, "id");
      const auto name = id ? entry.find("file_name") : entry.end();
      if (!id || name == entry.end() || !name->is_string()) {
        fail(fmt::format(
            "an entry of \"images\" needs an id, an integer or a text, and a file_name; "
            "its id is {}, its file_name {}",
            shown(entry, "id"), shown(entry, "file_name")));
      }
      if (!index_.emplace(*id, pictures_.size()).second) {
        fail(fmt::format("image id {} is there twice", printable(*id, 40)));
      }
      CocoPicture picture;
      picture.id = *id;
      picture.file_name = name->get<std::string>();
      const auto width = number_of(entry, "width"), height = number_of(entry, "height");
      picture.has_size = width && height;
      picture.width = width.value_or(0);
      picture.height = height.value_or(0);
      pictures_.push_back(std::move(picture));
    }
  }

  void read_annotations() {
    for (const Json& entry : list("annotations")) read_annotation(entry);
    if (pictures_.empty()) fail("its list \"images\" is empty");
    std::vector<OtherClass> others;
    for (const auto& [id, category] : categories_) {
      if (category.annotations == 0) continue;
      others.push_back({category.name, category.annotations, path_, 0});
    }
    for (Finding& finding : of_other_classes(others)) findings_.push_back(std::move(finding));
  }

  const std::vector<CocoPicture>& pictures() const { return pictures_; }
  /// Category id of each class; -1 if no category has that class.
  std::vector<int64_t> category_ids(int64_t classes) const {
    std::vector<int64_t> ids(size_t(classes), -1);
    for (const auto& [id, category] : categories_) {
      if (category.class_id < 0) continue;
      int64_t& first = ids[size_t(category.class_id)];
      if (first < 0) first = id;
    }
    return ids;
  }
  std::vector<Finding> take_findings() { return std::move(findings_); }
  /// Reports labels that belong to no picture.
  int64_t stray_labels() const { return stray_labels_; }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw FileError("{}: {}", printable(path_.string()), what);
  }

  const Json& list(const char* key) const {
    const auto found = root_.find(key);
    if (found == root_.end() || !found->is_array()) {
      fail(fmt::format("not a COCO file: it has no list \"{}\"", key));
    }
    return *found;
  }

  void report_equal_names() {
    std::map<std::string, int64_t> first;
    for (const auto& [id, category] : categories_) {
      const auto [at, is_new] = first.emplace(category.name, id);
      if (is_new) continue;
      findings_.push_back({path_, 0,
                           fmt::format("categories {} and {} are both called \"{}\"", at->second,
                                       id, printable(category.name, 40)),
                           "count as one class"});
    }
  }

  void drop(int64_t& counter, std::string reason) {
    findings_.push_back({path_, 0, std::move(reason), kLabelDropped});
    ++counter;
  }

  void read_annotation(const Json& entry) {
    const std::string what =
        "annotation " + printable(id_of(entry, "id").value_or("without an id"), 40);
    const std::optional<std::string> image_id = id_of(entry, "image_id");
    const auto picture_index = image_id ? index_.find(*image_id) : index_.end();
    if (picture_index == index_.end()) {
      drop(stray_labels_, what + ": " + not_among(entry, "image_id", "images"));
      return;
    }
    CocoPicture& picture = pictures_[picture_index->second];
    const auto crowd = entry.find("iscrowd");
    if (crowd != entry.end() && (*crowd == 1 || *crowd == true)) {
      ++picture.crowds;
      return;
    }
    const auto category_id = entry.find("category_id");
    const std::optional<int64_t> id =
        category_id != entry.end() ? integer_of(*category_id) : std::nullopt;
    const auto category = id ? categories_.find(*id) : categories_.end();
    if (category == categories_.end()) {
      drop(picture.labels_dropped, what + ": " + not_among(entry, "category_id", "categories"));
      return;
    }
    if (category->second.class_id < 0) {
      ++category->second.annotations;
      ++picture.labels_dropped;
      return;
    }
    const auto box = entry.find("bbox");
    const bool usable = box != entry.end() && box->is_array() && box->size() == 4 &&
                        std::all_of(box->begin(), box->end(),
                                    [](const Json& number) { return number.is_number(); });
    if (!usable) {
      drop(picture.labels_dropped, what + ": bbox is not four numbers, x y width height wanted");
      return;
    }
    const auto number = [&](size_t i) { return (*box)[i].get<double>(); };
    picture.boxes.push_back({category->second.class_id, number(0), number(1), number(2), number(3),
                             what, take_pieces(entry, what)});
  }

  /// The polygons of an annotation; none if it has no mask or a run-length mask.
  std::vector<Polygon> take_pieces(const Json& entry, const std::string& what) {
    std::vector<Polygon> pieces;
    const auto masks = entry.find("segmentation");
    if (masks == entry.end() || !masks->is_array()) return pieces;
    for (const Json& mask : *masks) {
      const size_t number = mask.is_array() && mask.size() == 1 && mask[0].is_number_unsigned()
                                ? mask[0].get<size_t>()
                                : polygons_.size();
      if (number >= polygons_.size() || polygons_[number].empty()) {
        findings_.push_back(
            {path_, 0, what + ": a polygon of its segmentation is not three or more points x y",
             "kept, without outline"});
        return {};
      }
      pieces.push_back(std::move(polygons_[number]));
    }
    return pieces;
  }

  const fs::path& path_;
  std::vector<Polygon> polygons_;
  Json root_;
  std::map<int64_t, Category> categories_;
  std::vector<CocoPicture> pictures_;
  std::unordered_map<std::string, size_t> index_;
  std::vector<Finding> findings_;
  int64_t stray_labels_ = 0;
};

}  // namespace

Dataset load_coco(const DataSource& source, std::vector<std::string> names) {
  std::error_code error;
  if (!fs::is_directory(source.images, error)) {
    throw FileError("{}: not a folder, the pictures of {} wanted",
                    printable(source.images.string()), printable(source.path.string()));
  }
  CocoFile file(source.path);
  file.read_categories(names);
  file.read_pictures();
  file.read_annotations();
  const std::vector<CocoPicture>& pictures = file.pictures();
  // Avoids reading picture headers; the list of pictures and the faults are only in the JSON.
  LabelCache cache(source.cache_folder, source, fmt::format("{}", fmt::join(names, "\n")));
  std::vector<PictureReport> reports(pictures.size());
  for_each_picture(
      int64_t(pictures.size()),
      [&](int64_t i) {
        const CocoPicture& picture = pictures[size_t(i)];
        PictureReport& report = reports[size_t(i)];
        const fs::path path = source.images / fs::path(picture.file_name);
        // Two entries may name one file.
        std::string stamp = fmt::format("{}|{}", cache.stamp(path, source.path), picture.id);
        if (cache.find(path, stamp, report)) {
          if (report.sample) report.sample->coco_id = picture.id;
          return;
        }
        open_sample(report, path, source.path, 0);
        if (!report.sample) return;
        report.sample->coco_id = picture.id;
        report.labels_dropped = picture.labels_dropped;
        report.labels_ignored = picture.crowds;
        if (picture.has_size) compare_size(report, picture.width, picture.height, source.path, 0);
        for (const CocoBox& box : picture.boxes) {
          if (add_box(report, box.class_id, box.x, box.y, box.x + box.w, box.y + box.h, source.path,
                      0, box.what)) {
            report.sample->labels.back().polygon = outline_of(box.pieces, *report.sample);
          }
        }
        cache.keep(path, std::move(stamp), report);
      },
      source.stop);
  Dataset dataset =
      assemble(source.path, std::move(reports), std::move(names), file.take_findings());
  dataset.labels_dropped += file.stray_labels();
  dataset.coco_category_ids = file.category_ids(int64_t(dataset.names.size()));
  cache.save(dataset.notes);
  return dataset;
}

}  // namespace ydistill::reading
