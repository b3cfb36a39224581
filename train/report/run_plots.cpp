// SPDX-License-Identifier: MIT
#include <ydistill/train/report/run_plots.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include <ydistill/train/report/panels.h>
#include <ydistill/train/report/plot.h>

namespace ydistill {
namespace {

constexpr size_t kMostNamedClasses = 20;

const char* y_label_of(Curve curve) {
  switch (curve) {
    case Curve::kF1:
      return "F1";
    case Curve::kPrecision:
    case Curve::kPrecisionRecall:
      return "precision";
    case Curve::kRecall:
      return "recall";
  }
  return "";
}

}  // namespace

Image draw_results(const EpochTable& results) {
  const std::vector<Panel> panels = panels_of(std::span(&results, 1));
  constexpr int64_t kWidth = 420, kHeight = 330, kMostColumns = 5;
  const int64_t count = std::max<int64_t>(1, int64_t(panels.size()));
  const int64_t rows = (count + kMostColumns - 1) / kMostColumns;
  const int64_t columns = (count + rows - 1) / rows;
  Canvas canvas(columns * kWidth, rows * kHeight);
  std::vector<double> epochs;  // counted from 1, for readers
  for (const int64_t epoch : results.epochs) epochs.push_back(double(epoch + 1));
  for (int64_t i = 0; i < int64_t(panels.size()); ++i) {
    LinePlot plot;
    plot.title = panels[size_t(i)].title;
    plot.x_label = "epoch";
    plot.x_ticks = TickKind::kWhole;
    plot.text_size = 10;
    for (const Panel::Line& line : panels[size_t(i)].lines) {
      const Color color = series_color(int64_t(plot.series.size()));
      plot.series.push_back({line.name, epochs, results.values(line.column), color, 2.2, 1,
                             /*dots=*/epochs.size() <= 40});
    }
    const double x = double(i % columns * kWidth), y = double(i / columns * kHeight);
    draw_plot(canvas, {x + 10, y + 8, x + kWidth - 6, y + kHeight - 8}, plot);
  }
  return canvas.image();
}

ClassCurves class_curves(const MetricsResult& metrics, Curve curve) {
  ClassCurves result;
  for (const ClassMetrics& c : metrics.per_class) {
    result.x.resize(std::max(result.x.size(), c.precision_by_score.size()));
  }
  const size_t n = result.x.size();
  for (size_t i = 0; i < n; ++i) result.x[i] = double(i) / double(std::max<size_t>(n - 1, 1));
  result.mean.assign(n, 0);
  for (const ClassMetrics& c : metrics.per_class) {
    std::vector<double> y(n, 0);  // a class that was never found
    for (size_t i = 0; i < c.precision_by_score.size(); ++i) {
      const double p = c.precision_by_score[i], r = c.recall_by_score[i];
      y[i] = curve == Curve::kPrecision         ? p
             : curve == Curve::kRecall          ? r
             : curve == Curve::kPrecisionRecall ? c.precision_by_recall[i]
                                                : 2 * p * r / (p + r + 1e-16);
    }
    for (size_t i = 0; i < n; ++i) result.mean[i] += y[i] / double(metrics.per_class.size());
    result.per_class.push_back(std::move(y));
  }
  return result;
}

Image draw_curve(const MetricsResult& metrics, Curve curve) {
  const ClassCurves curves = class_curves(metrics, curve);
  const bool by_recall = curve == Curve::kPrecisionRecall;
  const bool named = metrics.per_class.size() <= kMostNamedClasses;
  LinePlot plot;
  plot.x_label = by_recall ? "recall" : "confidence";
  plot.y_label = y_label_of(curve);
  plot.title = by_recall
                   ? "Precision over recall"
                   : fmt::format("{} over confidence", curve == Curve::kF1          ? "F1"
                                                       : curve == Curve::kPrecision ? "Precision"
                                                                                    : "Recall");
  plot.x_range = plot.y_range = {0.0, 1.0};
  plot.text_size = 13;
  const auto name_of = [&](size_t i) {
    const ClassMetrics& c = metrics.per_class[i];
    return by_recall ? fmt::format("{} {:.3f}", c.name, c.map50) : c.name;
  };
  for (size_t i = 0; i < curves.per_class.size(); ++i) {
    plot.series.push_back({named ? name_of(i) : "", curves.x, curves.per_class[i],
                           named ? series_color(int64_t(i) + 1) : Color{160, 168, 180},
                           named ? 2.0 : 1.2, 0.85, false});
  }
  if (!curves.x.empty()) {
    std::string name = fmt::format("all classes {:.3f} mAP50", metrics.map50);
    if (curve == Curve::kF1) {
      name = fmt::format("all classes {:.2f} at {:.3f}",
                         *std::max_element(curves.mean.begin(), curves.mean.end()),
                         metrics.best_score);
    } else if (!by_recall) {
      name = "all classes";
    }
    plot.series.push_back({name, curves.x, curves.mean, {37, 99, 235}, 5, 1, false});
  }
  Canvas canvas(1100, 760);
  draw_plot(canvas, {16, 12, 1084, 748}, plot);
  return canvas.image();
}

Image draw_confusion(const std::vector<int64_t>& counts, const std::vector<std::string>& classes) {
  MatrixPlot plot;
  plot.title = "Confusion matrix, shares of the labels of a class";
  plot.x_label = "true";
  plot.y_label = "predicted";
  plot.text_size = 12;
  plot.columns = plot.rows = classes;
  plot.columns.push_back("background");
  plot.rows.push_back("background");
  const size_t n = plot.rows.size();
  plot.values.assign(n * n, 0);
  plot.cells.assign(n * n, "");
  for (size_t c = 0; c < n; ++c) {
    double sum = 0;
    for (size_t r = 0; r < n; ++r) sum += double(counts.at(r * n + c));
    for (size_t r = 0; r < n && sum > 0; ++r) {
      plot.values[r * n + c] = double(counts[r * n + c]) / sum;
      if (counts[r * n + c] > 0)
        plot.cells[r * n + c] = fmt::format("{:.2f}", plot.values[r * n + c]);
    }
  }
  Canvas canvas(1000, 900);
  draw_plot(canvas, {10, 10, 990, 890}, plot);
  return canvas.image();
}

Image draw_label_statistics(const DataRecord& data, const std::vector<std::string>& classes) {
  Canvas canvas(1500, 560);
  BarPlot bars;
  bars.title = "Labels of each class";
  bars.names = classes;
  bars.text_size = 11;
  bars.values.assign(data.class_counts.begin(), data.class_counts.end());
  bars.values.resize(classes.size(), 0);
  draw_plot(canvas, {10, 10, 490, 550}, bars);
  PointPlot centres{"Centres of the boxes",       "x / width", "y / height", {},
                    PointPlot::YAxis::kDownwards, 11};
  PointPlot sizes{"Sizes of the boxes",
                  "width of the box / of the picture",
                  "height of the box / of the picture",
                  {},
                  PointPlot::YAxis::kUpwards,
                  11};
  for (const auto& box : data.boxes) {
    centres.points.push_back({double(box[0]), double(box[1])});
    sizes.points.push_back({double(box[2]), double(box[3])});
  }
  draw_plot(canvas, {510, 10, 990, 550}, centres);
  draw_plot(canvas, {1010, 10, 1490, 550}, sizes);
  return canvas.image();
}

void write_run_plots(const std::filesystem::path& folder, const RunRecord& record) {
  write_png(folder / "labels.png", draw_label_statistics(record.train, record.classes));
  if (!record.results.rows.empty()) write_png(folder / "results.png", draw_results(record.results));
  if (!record.best) return;
  const MetricsResult& metrics = record.best->metrics;
  write_png(folder / "F1_curve.png", draw_curve(metrics, Curve::kF1));
  write_png(folder / "P_curve.png", draw_curve(metrics, Curve::kPrecision));
  write_png(folder / "R_curve.png", draw_curve(metrics, Curve::kRecall));
  write_png(folder / "PR_curve.png", draw_curve(metrics, Curve::kPrecisionRecall));
  write_png(folder / "confusion_matrix.png",
            draw_confusion(record.best->confusion, record.classes));
}

}  // namespace ydistill
