// SPDX-License-Identifier: MIT
// Shared by the readers of the three label formats. Internal: users call load_dataset.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/data/dataset.h>

namespace ydistill::reading {

inline constexpr const char* kLabelDropped = "label dropped";
inline constexpr const char* kPictureDropped = "picture dropped";
inline constexpr const char* kKept = "kept";

/// The result of reading one picture of a source.
struct PictureReport {
  std::optional<Sample> sample;  ///< empty: the picture was dropped
  std::vector<Finding> findings;
  int64_t labels_dropped = 0;
  int64_t labels_ignored = 0;
  /// One per label of `sample`, for formats that have only class names; the format's reader then
  /// sets the labels' class_id.
  struct ClassName {
    std::string name;
    int64_t line = 0;
  };
  std::vector<ClassName> class_names;

  void drop_label(const std::filesystem::path& file, int64_t line, std::string reason);
  void drop_picture(const std::filesystem::path& file, int64_t line, std::string reason);
};

/// Creates the sample of a picture: probes the file and drops it if it cannot be used. `listed_in`
/// and `line`: where the picture is listed, for the finding if it does not exist.
void open_sample(PictureReport& report, const std::filesystem::path& picture,
                 const std::filesystem::path& listed_in, int64_t line);

/// Adds a box given by its corners in pixels of report.sample, clipped to the picture; drops it if
/// it is not finite or has no area. Returns whether it was added.
bool add_box(PictureReport& report, int64_t class_id, double x1, double y1, double x2, double y2,
             const std::filesystem::path& file, int64_t line, std::string_view what);

/// Adds a finding if this size is not the picture's own.
void compare_size(PictureReport& report, double width, double height,
                  const std::filesystem::path& file, int64_t line);

/// Calls body(i) for i in [0, n) on several threads; the first exception is rethrown.
/// stop: see DataSource. throws StoppedError.
void for_each_picture(int64_t n, const std::function<void(int64_t)>& body,
                      const std::function<bool()>& stop = {});

/// Combines the reports in order. throws FileError if no sample is left.
Dataset assemble(const std::filesystem::path& source, std::vector<PictureReport> reports,
                 std::vector<std::string> names, std::vector<Finding> findings = {});

/// The message of a FileError without the file at its beginning: a finding has its own `file`.
std::string without_name(std::string message, const std::filesystem::path& file);

/// The content of a text file, without a byte order mark. throws FileError.
std::string read_text(const std::filesystem::path& path);
/// Lines without their ends (Unix or Windows).
std::vector<std::string_view> split_lines(std::string_view text);
/// Without blanks at either end.
std::string_view trim(std::string_view text);
/// `text` as a number; nothing if it is not entirely a number, or is infinite or NaN.
std::optional<double> parse_number(std::string_view text);
/// Labels of a class that is not among the names, and the location of the first of them.
struct OtherClass {
  std::string name;
  int64_t labels = 0;
  std::filesystem::path file;
  int64_t line = 0;  ///< 0: no particular line
};
/// One finding that reports them; none if there are no such labels.
std::vector<Finding> of_other_classes(const std::vector<OtherClass>& others);
/// Class ids by name.
std::map<std::string, int64_t, std::less<>> ids_by_name(const std::vector<std::string>& names);

Dataset load_yolo(const DataSource& source, std::vector<std::string> names);
Dataset load_voc(const DataSource& source, std::vector<std::string> names);
Dataset load_coco(const DataSource& source, std::vector<std::string> names);

}  // namespace ydistill::reading
