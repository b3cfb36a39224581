// SPDX-License-Identifier: MIT
// YOLO text labels: one file per picture, one object per line.
#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <set>
#include <span>
#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/label_cache.h>
#include <ydistill/data/picture_list.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::reading {
namespace {

namespace fs = std::filesystem;

/// Also true for a dangling link, to the file or to a folder on the way, and in a folder that may
/// not be entered: then labels are out of reach, which does not mean a background picture.
bool is_there(const fs::path& file) {
  std::error_code error;
  const fs::file_status status = fs::symlink_status(file, error);
  if (fs::exists(status) || status.type() == fs::file_type::none) return true;
  fs::path folder = file.parent_path();
  if (fs::exists(folder, error)) return false;
  for (; folder.has_relative_path(); folder = folder.parent_path()) {
    if (fs::is_symlink(fs::symlink_status(folder, error))) return !fs::exists(folder, error);
    if (fs::exists(folder, error)) return false;
  }
  return false;
}

/// a/images/b/c.jpg -> a/labels/b/c.txt if that exists, else a/images/b/c.txt.
fs::path label_file_of(const fs::path& picture) {
  std::vector<fs::path> parts(picture.begin(), picture.end());
  for (size_t i = parts.size() - 1; i-- > 0;) {
    if (parts[i] != "images") continue;
    parts[i] = "labels";
    fs::path file;
    for (const fs::path& part : parts) file /= part;
    file.replace_extension(".txt");
    if (is_there(file)) return file;
    break;
  }
  return fs::path(picture).replace_extension(".txt");
}

/// Clips a value outside 0..1 by rounding only. Returns false if it is further out.
bool clip_fraction(double& value) {
  constexpr double kTolerance = 1e-6;
  if (value < -kTolerance || value > 1 + kTolerance) return false;
  value = std::clamp(value, 0.0, 1.0);
  return true;
}

/// Polygon points x y x y ... with the box around them.
Label outlined(int64_t class_id, std::span<const double> points) {
  Label label;
  double low_x = 1, low_y = 1, high_x = 0, high_y = 0;
  label.polygon.reserve(points.size() / 2);
  for (size_t i = 0; i + 1 < points.size(); i += 2) {
    low_x = std::min(low_x, points[i]);
    high_x = std::max(high_x, points[i]);
    low_y = std::min(low_y, points[i + 1]);
    high_y = std::max(high_y, points[i + 1]);
    label.polygon.push_back({float(points[i]), float(points[i + 1])});
  }
  label.class_id = class_id;
  label.cx = (low_x + high_x) / 2;
  label.cy = (low_y + high_y) / 2;
  label.w = high_x - low_x;
  label.h = high_y - low_y;
  return label;
}

/// Parses one line as a label; else gives the reason.
std::optional<Label> parse_row(std::string_view row, size_t num_names, std::string& reason) {
  std::vector<double> columns;
  for (std::string_view rest = trim(row); !rest.empty(); rest = trim(rest)) {
    const std::string_view word = rest.substr(0, rest.find_first_of(" \t"));
    const std::optional<double> number = parse_number(word);
    if (!number) {
      reason = fmt::format("column {}: \"{}\" is not a finite number", columns.size() + 1,
                           printable(word, 40));
      return std::nullopt;
    }
    columns.push_back(*number);
    rest.remove_prefix(word.size());
  }
  const bool is_polygon = columns.size() >= 7 && columns.size() % 2 == 1;
  if (columns.size() != 5 && !is_polygon) {
    reason = fmt::format(
        "{} columns, expected 5 (class cx cy w h) or, for a polygon, an odd number from 7",
        columns.size());
    return std::nullopt;
  }
  const double id = columns[0];
  if (id != std::floor(id)) {
    reason = fmt::format("class {:g} is not an integer", id);
    return std::nullopt;
  }
  const int64_t limit = num_names > 0 ? int64_t(num_names) : kMaxClasses;
  if (id < 0 || id >= double(limit)) {
    reason = fmt::format("class {:.0f} is out of range, expected 0 to {}", id, limit - 1);
    return std::nullopt;
  }
  for (size_t i = 1; i < columns.size(); ++i) {
    const double value = columns[i];
    if (!clip_fraction(columns[i])) {
      reason = fmt::format("column {}: {:g} is outside 0 to 1", i + 1, value);
      return std::nullopt;
    }
  }
  const Label label = is_polygon
                          ? outlined(int64_t(id), std::span(columns).subspan(1))
                          : Label{int64_t(id), columns[1], columns[2], columns[3], columns[4]};
  if (!(label.w > 0 && label.h > 0)) {
    reason = fmt::format("the box is {:g} x {:g}, it has no area", label.w, label.h);
    return std::nullopt;
  }
  return label;
}

void read_labels(PictureReport& report, const fs::path& file, size_t num_names) {
  if (!is_there(file)) return;  // background
  std::string text;
  try {
    text = read_text(file);
  } catch (const FileError&) {
    report.drop_picture(file, 0, "the labels cannot be read");
    return;
  }
  std::set<std::array<double, 5>> seen;
  int64_t line = 0;
  for (const std::string_view row : split_lines(text)) {
    ++line;
    if (trim(row).empty()) continue;
    std::string reason;
    std::optional<Label> label = parse_row(row, num_names, reason);
    if (!label) {
      report.drop_label(file, line, std::move(reason));
    } else if (!seen.insert({double(label->class_id), label->cx, label->cy, label->w, label->h})
                    .second) {
      report.drop_label(file, line, "repeats an earlier line");
    } else {
      report.sample->labels.push_back(std::move(*label));
    }
  }
}

/// class0, class1, ... up to the largest id. throws FileError if hardly any of them has a label:
/// then the largest is a mistake.
std::vector<std::string> numbered_classes(const std::vector<PictureReport>& reports) {
  constexpr int64_t kMany = 1000, kLabelledShare = 20;
  std::set<int64_t> ids;
  const Sample* largest = nullptr;
  for (const PictureReport& report : reports) {
    if (!report.sample) continue;
    for (const Label& label : report.sample->labels) {
      if (ids.empty() || label.class_id > *ids.rbegin()) largest = &*report.sample;
      ids.insert(label.class_id);
    }
  }
  const int64_t count = ids.empty() ? 0 : *ids.rbegin() + 1;
  if (count > kMany && int64_t(ids.size()) * kLabelledShare < count) {
    throw FileError(
        "{}: class {}, but only {} classes have labels; correct it, or name the classes",
        printable(label_file_of(largest->image).string()), count - 1, ids.size());
  }
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) names.push_back(fmt::format("class{}", i));
  return names;
}

}  // namespace

Dataset load_yolo(const DataSource& source, std::vector<std::string> names) {
  ids_by_name(names);  // for its check
  const bool has_labels = source.kind == DataSource::Kind::kYolo;
  PictureList list = list_pictures(source.path);
  for (const fs::path& path : source.more) {
    PictureList more = list_pictures(path);
    std::move(more.pictures.begin(), more.pictures.end(), std::back_inserter(list.pictures));
    std::move(more.findings.begin(), more.findings.end(), std::back_inserter(list.findings));
  }
  const std::vector<ListedPicture>& pictures = list.pictures;
  LabelCache cache(source.cache_folder, source, std::to_string(names.size()));
  std::vector<PictureReport> reports(pictures.size());
  for_each_picture(
      int64_t(pictures.size()),
      [&](int64_t i) {
        const ListedPicture& picture = pictures[size_t(i)];
        PictureReport& report = reports[size_t(i)];
        const fs::path labels = has_labels ? label_file_of(picture.path) : fs::path();
        std::string stamp = cache.stamp(picture.path, labels);
        if (!cache.find(picture.path, stamp, report)) {
          open_sample(report, picture.path, picture.listed_in, picture.line);
          if (!report.sample) return;
          if (has_labels) read_labels(report, labels, names.size());
          cache.keep(picture.path, std::move(stamp), report);
        }
        if (report.sample) report.sample->labelled = has_labels;
      },
      source.stop);
  if (names.empty()) names = numbered_classes(reports);
  Dataset dataset =
      assemble(source.path, std::move(reports), std::move(names), std::move(list.findings));
  cache.save(dataset.notes);
  return dataset;
}

}  // namespace ydistill::reading
