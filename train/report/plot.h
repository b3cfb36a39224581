// SPDX-License-Identifier: MIT
// Plots on a canvas: curves, matrices, bars, points. Each fills an area, including its labels.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <ydistill/train/report/canvas.h>

namespace ydistill {

enum class TickKind { kAny, kWhole };  ///< kWhole: for counts

struct PlotSeries {
  std::string name;          ///< in the legend; empty: not listed
  std::vector<double> x, y;  ///< values that are not finite are gaps
  Color color;
  double width = 2;  ///< pixels
  double alpha = 1;
  bool dots = false;  ///< also a dot per value
};

struct LinePlot {
  std::string title, x_label, y_label;
  std::vector<PlotSeries> series;
  std::optional<std::pair<double, double>> x_range, y_range;  ///< absent: the range of the series
  TickKind x_ticks = TickKind::kAny;
  double text_size = 9;  ///< height of a capital, pixels
};
void draw_plot(Canvas& canvas, const Area& area, const LinePlot& plot);

/// Shares 0..1 as colours, rows from top to bottom.
struct MatrixPlot {
  std::string title, x_label, y_label;
  std::vector<std::string> columns, rows;  ///< names
  std::vector<double> values;              ///< [row, column], row-major
  std::vector<std::string> cells;          ///< text in each cell; empty: none
  double text_size = 9;
};
void draw_plot(Canvas& canvas, const Area& area, const MatrixPlot& plot);

struct BarPlot {
  std::string title, y_label;
  std::vector<std::string> names;
  std::vector<double> values;
  double text_size = 9;
};
void draw_plot(Canvas& canvas, const Area& area, const BarPlot& plot);

/// Points in the unit square; y runs upwards unless `downwards`.
struct PointPlot {
  enum class YAxis { kUpwards, kDownwards };
  std::string title, x_label, y_label;
  std::vector<Point> points;
  YAxis y_axis = YAxis::kUpwards;
  double text_size = 9;
};
void draw_plot(Canvas& canvas, const Area& area, const PointPlot& plot);

/// Round numbers from at or below `low` to at or above `high`, about `wanted` steps between them.
std::vector<double> round_ticks(double low, double high, int wanted,
                                TickKind kind = TickKind::kAny);
/// "0.25", "1500", "1e-05": no more digits than the step between ticks needs.
std::string tick_label(double value, double step);

}  // namespace ydistill
