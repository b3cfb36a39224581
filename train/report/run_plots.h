// SPDX-License-Identifier: MIT
// The plots of a run folder, under the names that YOLOv5 gives them.
#pragma once

#include <filesystem>

#include <ydistill/data/image.h>
#include <ydistill/train/report/record.h>

namespace ydistill {

/// All panels of the results, over the epochs.
Image draw_results(const EpochTable& results);

/// One curve per class and their mean. kF1, kPrecision, kRecall: over the score above which
/// detections count; kPrecisionRecall: precision over recall.
enum class Curve { kF1, kPrecision, kRecall, kPrecisionRecall };
Image draw_curve(const MetricsResult& metrics, Curve curve);

/// Each column divided by its sum: how the labels of a class were predicted.
Image draw_confusion(const std::vector<int64_t>& counts, const std::vector<std::string>& classes);

/// Number of labels per class, positions of their centres, and their sizes.
Image draw_label_statistics(const DataRecord& data, const std::vector<std::string>& classes);

/// Writes labels.png and, if the record has their data, results.png and, for the best epoch,
/// {F1,P,R,PR}_curve.png and confusion_matrix.png. throws FileError.
void write_run_plots(const std::filesystem::path& folder, const RunRecord& record);

/// Points of a curve over x: the x, one list per class, and their mean. Empty if nothing was found.
struct ClassCurves {
  std::vector<double> x;
  std::vector<std::vector<double>> per_class;
  std::vector<double> mean;
};
ClassCurves class_curves(const MetricsResult& metrics, Curve curve);

}  // namespace ydistill
