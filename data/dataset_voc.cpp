// SPDX-License-Identifier: MIT
// Pascal VOC: ImageSets/Main/SPLIT.txt names the pictures, Annotations/ID.xml the objects.
#include <pugixml.hpp>

#include <algorithm>
#include <set>
#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/label_cache.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::reading {
namespace {

namespace fs = std::filesystem;

struct ListedId {
  std::string id;
  int64_t line = 0;
  std::string whole_row = {};  ///< where the id is the row without a second column
};

/// The ids of a split. A second column (-1, 0 or 1: whether a class occurs) is left out.
std::vector<ListedId> read_split(const fs::path& file) {
  std::vector<ListedId> ids;
  const std::string text = read_text(file);
  int64_t line = 0;
  for (const std::string_view row : split_lines(text)) {
    ++line;
    const std::string_view whole = trim(row);
    std::string_view id = whole;
    const size_t blank = id.find_last_of(" \t");
    if (blank != std::string_view::npos) {
      const std::string_view last = id.substr(blank + 1);
      if (last == "-1" || last == "0" || last == "1") id = trim(id.substr(0, blank));
    }
    if (id.empty()) continue;
    ids.push_back({std::string(id), line});
    if (id != whole) ids.back().whole_row = whole;
  }
  return ids;
}

fs::path find_split(const DataSource& source) {
  const fs::path folder = source.path / "ImageSets" / "Main";
  const fs::path file = folder / (source.split + ".txt");
  std::error_code error;
  if (!source.split.empty() && fs::is_regular_file(file, error)) return file;
  std::set<std::string> splits;
  for (const auto& entry : fs::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".txt") splits.insert(entry.path().stem().string());
  }
  if (splits.empty()) {
    throw FileError("{}: no split in ImageSets/Main, a Pascal VOC folder wanted",
                    printable(source.path.string()));
  }
  throw FileError("{}: no split \"{}\" in ImageSets/Main, there is: {}",
                  printable(source.path.string()), printable(source.split),
                  printable(fmt::format("{}", fmt::join(splits, ", "))));
}

/// JPEGImages/ID with the first suffix that exists; .jpg if none does.
fs::path find_picture(const fs::path& folder, const std::string& id) {
  for (const char* suffix : {".jpg", ".jpeg", ".png", ".bmp", ".JPG", ".JPEG", ".PNG", ".BMP"}) {
    const fs::path picture = folder / "JPEGImages" / (id + suffix);
    std::error_code error;
    if (fs::exists(picture, error)) return picture;
  }
  return folder / "JPEGImages" / (id + ".jpg");
}

/// One picture's XML file, parsed.
class Annotation {
 public:
  explicit Annotation(const fs::path& file) : file_(file), text_(read_text(file)) {
    const pugi::xml_parse_result result = document_.load_buffer(text_.data(), text_.size());
    if (!result) {
      line_ = line_at(result.offset);
      problem_ = fmt::format("malformed XML: {}", result.description());
    } else if (!document_.child("annotation")) {
      problem_ = "no <annotation> in this XML file";
    }
  }

  const std::string& problem() const { return problem_; }
  int64_t problem_line() const { return line_; }

  void read_into(PictureReport& report) const {
    const pugi::xml_node root = document_.child("annotation");
    if (const pugi::xml_node size = root.child("size")) {
      const auto width = parse_number(trim(size.child_value("width")));
      const auto height = parse_number(trim(size.child_value("height")));
      compare_size(report, width.value_or(0), height.value_or(0), file_, line_of(size));
    }
    for (const pugi::xml_node object : root.children("object")) read_object(object, report);
  }

 private:
  void read_object(const pugi::xml_node& object, PictureReport& report) const {
    const int64_t line = line_of(object);
    const std::string name(trim(object.child_value("name")));
    if (name.empty()) {
      report.drop_label(file_, line, "an object without <name>");
      return;
    }
    if (!is_utf8(name)) {  // reports and checkpoints could not hold it
      report.drop_label(
          file_, line,
          fmt::format("class \"{}\" is no UTF-8, and the XML does not say what else it is",
                      printable(name, 40)));
      return;
    }
    if (trim(object.child_value("difficult")) == "1") {
      ++report.labels_ignored;
      return;
    }
    const pugi::xml_node box = object.child("bndbox");
    double corners[4] = {0, 0, 0, 0};
    const char* const keys[4] = {"xmin", "ymin", "xmax", "ymax"};
    for (size_t i = 0; i < 4; ++i) {
      const std::string_view text = trim(box.child_value(keys[i]));
      const std::optional<double> number = parse_number(text);
      if (!number) {
        report.drop_label(file_, line,
                          fmt::format("{}: <{}> is \"{}\", a number wanted", printable(name, 40),
                                      keys[i], printable(text, 40)));
        return;
      }
      corners[i] = *number;
    }
    if (add_box(report, 0, corners[0], corners[1], corners[2], corners[3], file_, line,
                printable(name, 40))) {
      report.class_names.push_back({name, line});
    }
  }

  int64_t line_at(ptrdiff_t offset) const {
    const ptrdiff_t end = std::clamp<ptrdiff_t>(offset, 0, ptrdiff_t(text_.size()));
    return 1 + std::count(text_.begin(), text_.begin() + end, '\n');
  }
  int64_t line_of(const pugi::xml_node& node) const { return line_at(node.offset_debug()); }

  const fs::path& file_;
  std::string text_;
  pugi::xml_document document_;
  std::string problem_;
  int64_t line_ = 0;
};

void read_picture(const fs::path& picture, const fs::path& file, const ListedId& listed,
                  const fs::path& split, PictureReport& report) {
  open_sample(report, picture, split, listed.line);
  if (!report.sample) return;
  std::error_code error;
  if (!fs::is_regular_file(file, error)) {
    report.drop_picture(split, listed.line,
                        fmt::format("there is no {}", printable(file.string())));
    return;
  }
  try {
    const Annotation annotation(file);
    if (!annotation.problem().empty()) {
      report.drop_picture(file, annotation.problem_line(), annotation.problem());
      return;
    }
    annotation.read_into(report);
  } catch (const FileError&) {
    report.drop_picture(file, 0, "cannot be read");
  }
}

/// Class names in order of first appearance.
struct OtherClasses {
  std::vector<OtherClass> list;
  std::map<std::string, size_t> places;

  void add(const std::string& name, const fs::path& file, int64_t line) {
    const auto [place, is_new] = places.emplace(name, list.size());
    if (is_new) list.push_back({name, 0, file, line});
    ++list[place->second].labels;
  }
};

/// Class ids by name; labels of other names are dropped.
void name_labels(PictureReport& report, const fs::path& file,
                 const std::map<std::string, int64_t, std::less<>>& ids, OtherClasses& others) {
  std::vector<Label> kept;
  for (size_t i = 0; i < report.class_names.size(); ++i) {
    const PictureReport::ClassName& named = report.class_names[i];
    const auto id = ids.find(named.name);
    if (id == ids.end()) {
      others.add(named.name, file, named.line);
      ++report.labels_dropped;
      continue;
    }
    kept.push_back(report.sample->labels[i]);
    kept.back().class_id = id->second;
  }
  report.sample->labels = std::move(kept);
}

}  // namespace

Dataset load_voc(const DataSource& source, std::vector<std::string> names) {
  const fs::path split = find_split(source);
  std::vector<ListedId> ids = read_split(split);
  LabelCache cache(source.cache_folder, source, "");
  std::vector<PictureReport> reports(ids.size());
  for_each_picture(
      int64_t(ids.size()),
      [&](int64_t i) {
        ListedId& listed = ids[size_t(i)];
        PictureReport& report = reports[size_t(i)];
        std::error_code error;
        if (!listed.whole_row.empty() &&  // a picture may be called "frame 1"
            fs::exists(find_picture(source.path, listed.whole_row), error)) {
          listed.id = listed.whole_row;
        }
        const fs::path picture = find_picture(source.path, listed.id);
        const fs::path file = source.path / "Annotations" / (listed.id + ".xml");
        std::string stamp = cache.stamp(picture, file);
        if (cache.find(picture, stamp, report)) return;
        read_picture(picture, file, listed, split, report);
        cache.keep(picture, std::move(stamp), report);
      },
      source.stop);
  if (names.empty()) {
    std::set<std::string> found;
    for (const PictureReport& report : reports) {
      for (const PictureReport::ClassName& named : report.class_names) found.insert(named.name);
    }
    names.assign(found.begin(), found.end());
  }
  const auto class_ids = ids_by_name(names);
  OtherClasses others;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!reports[i].sample) continue;
    name_labels(reports[i], source.path / "Annotations" / (ids[i].id + ".xml"), class_ids, others);
  }
  Dataset dataset =
      assemble(source.path, std::move(reports), std::move(names), of_other_classes(others.list));
  cache.save(dataset.notes);
  return dataset;
}

}  // namespace ydistill::reading
