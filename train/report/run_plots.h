// SPDX-License-Identifier: MIT
// The plots of a run folder, under the names that YOLOv5 gives them.
#pragma once

#include <filesystem>

#include <ydistill/data/image.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// Every panel of the results over the epochs.
Image draw_results(const EpochTable& results);

/// A curve a class and their mean. kF1, kPrecision, kRecall: over the score above which detections
/// count; kPrecisionRecall: precision over recall.
enum class Curve { kF1, kPrecision, kRecall, kPrecisionRecall };
Image draw_curve(const MetricsResult& metrics, Curve curve);

/// Each column divided by its sum: what became of the labels of a class.
Image draw_confusion(const std::vector<int64_t>& counts, const std::vector<std::string>& classes);

/// Labels a class, where their centres lie and how large they are.
Image draw_label_statistics(const DataRecord& data, const std::vector<std::string>& classes);

/// Writes labels.png and, as far as the record has them, results.png, {F1,P,R,PR}_curve.png and
/// confusion_matrix.png: of the best epoch. throws FileError.
void write_run_plots(const std::filesystem::path& folder, const RunRecord& record);

/// Points of a curve over x: the x, one list a class, and their mean. Empty where nothing was
/// found.
struct ClassCurves {
  std::vector<double> x;
  std::vector<std::vector<double>> per_class;
  std::vector<double> mean;
};
ClassCurves class_curves(const MetricsResult& metrics, Curve curve);

}  // namespace ydistill
