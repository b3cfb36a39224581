// SPDX-License-Identifier: MIT
// What a run reports about itself: the record from which report.html and the plots are made. It is
// stored as report.json in the run folder, so that a resumed run continues it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/yolo/metrics.h>

namespace ydistill {

/// More epochs than any run has.
inline constexpr int64_t kMaxEpoch = 1'000'000'000;

/// results.csv: one row per finished epoch.
struct EpochTable {
  std::vector<std::string> columns;  ///< as results.csv names them, without `epoch`
  std::vector<int64_t> epochs;
  std::vector<std::vector<double>> rows;  ///< [epoch][column]

  /// Index of a column; nothing if there is no such column.
  std::optional<size_t> find(const std::string& column) const;
  /// The column over the epochs; empty if there is no such column.
  std::vector<double> values(const std::string& column) const;
  /// Row of the best checkpoint: largest 0.1 mAP50 + 0.9 mAP50-95, the last of equal ones. Nothing
  /// if there are no rows or these columns are missing.
  std::optional<size_t> best_row() const;
};

/// throws FileError, naming `source` and the line, if the text is not a results.csv.
EpochTable parse_results(const std::string& text, const std::string& source);

struct EpochSpeed {
  int64_t epoch = 0;
  double ended = 0;  ///< seconds since 1970
  double train_seconds = 0, validation_seconds = 0;
  double images_per_second = 0;  ///< of the training
  double waiting_share = 0;      ///< share of training time spent waiting for data, 0..1
};

/// A line of a list: "CPU", "AMD EPYC 9654".
struct Fact {
  std::string name, value;
};

/// A box on a picture of the validation set: a label or a detection. Corners are fractions of the
/// picture.
struct ShownBox {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  int64_t class_id = 0;
  float score = 0;     ///< of detections
  bool right = false;  ///< detection: matched to a label of its class; label: so found
};
struct ShownPicture {
  std::string name;  ///< file name without folders
  int64_t width = 0, height = 0;
  std::string jpeg;  ///< bytes of the file, without boxes drawn
  double f1 = 0;     ///< of this picture at score 0.25 and IoU 0.45
  std::vector<ShownBox> labels, found;
};

/// Where two networks see objects: their objectness as colours over a picture.
struct ObjectnessMap {
  std::string name;
  std::string picture, teacher, student;  ///< JPEG bytes; teacher: empty if there is none
};

/// One validation of a network. The curves of `metrics` may have fewer points than kCurvePoints.
struct ValidationRecord {
  int64_t epoch = -1;
  MetricsResult metrics;
  std::vector<int64_t> confusion;  ///< ConfusionMatrix::counts
  std::vector<ShownPicture> worst, best;
};

struct DataRecord {
  std::string summary;
  std::vector<int64_t> class_counts;        ///< labels, by class id
  std::vector<std::array<float, 4>> boxes;  ///< cx, cy, w, h as fractions: a sample of the labels
  std::vector<std::string> findings;        ///< the first of them
  int64_t num_findings = 0;
};

struct TeacherRecord {
  std::string name, weights;
  std::optional<ValidationRecord> validation;  ///< without pictures
};

struct RunRecord {
  std::string name;
  double started = 0;  ///< seconds since 1970
  bool finished = false;
  int64_t epochs_planned = 0;
  std::vector<std::string> classes;
  std::vector<Fact> model, machine;
  EpochTable results;
  std::vector<EpochSpeed> speed;
  DataRecord train, val;
  std::optional<TeacherRecord> teacher;
  /// Of the last epoch, and of the one in weights/best.safetensors.
  std::optional<ValidationRecord> last, best;
  std::vector<ObjectnessMap> maps;
  std::string config;  ///< config.json
};

std::string to_json(const RunRecord& record);
/// throws FileError, naming `source`, for text that is not a report.json of this release, or in
/// which lists that belong together have different lengths.
RunRecord parse_record(const std::string& json, const std::string& source);

/// Reduces curves of kCurvePoints points to `points` of them, including the first and the last.
MetricsResult with_fewer_points(MetricsResult metrics, int64_t points);

/// RFC 4648, with padding.
std::string base64(const std::string& bytes);
/// throws ValueError for text that is not base64.
std::string from_base64(const std::string& text);

}  // namespace ydistill
