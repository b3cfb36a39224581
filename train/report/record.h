// SPDX-License-Identifier: MIT
// What a run tells about itself: the one record that report.html and the plots are made from, and
// which stands as report.json in the run folder, so that a resumed run goes on with it.
#pragma once

#include <array>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <ydistill/yolo/metrics.h>

namespace ydistill {

/// More than any run has.
inline constexpr int64_t kMaxEpoch = 1'000'000'000;

/// results.csv: a row an epoch that is done.
struct EpochTable {
  std::vector<std::string> columns;  ///< as results.csv names them, without `epoch`
  std::vector<int64_t> epochs;
  std::vector<std::vector<double>> rows;  ///< [epoch][column]

  /// Index of a column, or nothing.
  std::optional<size_t> find(const std::string& column) const;
  /// The column over the epochs; empty where there is no such column.
  std::vector<double> values(const std::string& column) const;
  /// Row of the best checkpoint: largest 0.1 mAP50 + 0.9 mAP50-95, of equal ones the first. Nothing
  /// where there are no rows or not those columns.
  std::optional<size_t> best_row() const;
};

/// throws FileError, naming `source` and the line, for what is no results.csv.
EpochTable parse_results(const std::string& text, const std::string& source);

struct EpochSpeed {
  int64_t epoch = 0;
  double ended = 0;  ///< seconds since 1970
  double train_seconds = 0, validation_seconds = 0;
  double images_per_second = 0;  ///< of the training
  double waiting_share = 0;      ///< of the training's time spent waiting for data, 0..1
};

/// A line of a list: "CPU", "AMD EPYC 9654".
struct Fact {
  std::string name, value;
};

/// A picture of the validation set with its labels and what was found on it. Corners are fractions
/// of the picture.
struct ShownBox {
  float x1 = 0, y1 = 0, x2 = 0, y2 = 0;
  int64_t class_id = 0;
  float score = 0;     ///< of detections
  bool right = false;  ///< detection: paired with a label of its class; label: found so
};
struct ShownPicture {
  std::string name;  ///< of the file, without folders
  int64_t width = 0, height = 0;
  std::string jpeg;  ///< bytes of the file, without boxes drawn
  double f1 = 0;     ///< of this picture at score 0.25 and IoU 0.45
  std::vector<ShownBox> labels, found;
};

/// Where two networks see objects on a picture: their objectness as colours over it.
struct ObjectnessMap {
  std::string name;
  std::string picture, teacher, student;  ///< JPEG bytes; teacher: empty where there is none
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
/// throws FileError, naming `source`, for what is no report.json of this release, also where lists
/// that belong together have different lengths.
RunRecord parse_record(const std::string& json, const std::string& source);

/// Curves of kCurvePoints points at `points` of them, first and last among them.
MetricsResult with_fewer_points(MetricsResult metrics, int64_t points);

/// RFC 4648, with padding.
std::string base64(const std::string& bytes);
/// throws ValueError for what is no base64.
std::string from_base64(const std::string& text);

}  // namespace ydistill
