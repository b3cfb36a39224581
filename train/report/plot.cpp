// SPDX-License-Identifier: MIT
#include <ydistill/train/report/plot.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ydistill {
namespace {

using Align = TextStyle::Align;

constexpr Color kInk{40, 44, 52}, kSoftInk{96, 103, 116}, kGrid{226, 229, 234},
    kAxis{148, 156, 168};

TextStyle label_style(double size, Align align = Align::kCentre, Color color = kSoftInk) {
  TextStyle style;
  style.size = size;
  style.align = align;
  style.color = color;
  return style;
}

/// Cuts the text to `width`; ".." marks what was cut off.
std::string shortened(const std::string& text, double width, const TextStyle& style) {
  if (Canvas::text_width(text, style) <= width) return text;
  std::string cut = text;
  while (!cut.empty() && Canvas::text_width(cut + "..", style) > width) cut.pop_back();
  return cut + "..";
}

/// Maps values to positions between two edges.
struct Scale {
  double low, high, from, to;
  double at(double value) const { return from + (value - low) / (high - low) * (to - from); }
};

Scale scale_of(const std::vector<double>& ticks, double from, double to) {
  return {ticks.front(), ticks.back(), from, to};
}

double step_of(const std::vector<double>& ticks) {
  return ticks.size() > 1 ? ticks[1] - ticks[0] : 1;
}

double widest(const std::vector<double>& ticks, const TextStyle& style) {
  double width = 0;
  for (const double t : ticks) {
    width = std::max(width, Canvas::text_width(tick_label(t, step_of(ticks)), style));
  }
  return width;
}

/// Draws title, axis names, grid and tick labels; returns the inner area.
Area draw_axes(Canvas& canvas, const Area& area, const std::string& title,
               const std::string& x_label, const std::string& y_label,
               const std::vector<double>& x_ticks, const std::vector<double>& y_ticks, double size,
               PointPlot::YAxis direction = PointPlot::YAxis::kUpwards) {
  const TextStyle ticks = label_style(size);
  Area inner = area;
  inner.y1 += title.empty() ? size : 3.4 * size;
  inner.y2 -= size * (x_label.empty() ? 2.6 : 5.2);
  inner.x1 += widest(y_ticks, ticks) + size * (y_label.empty() ? 1.6 : 4);
  inner.x2 -= 1.6 * size;
  TextStyle heading = label_style(1.2 * size, Align::kCentre, kInk);
  heading.bold = true;
  const double middle = (inner.x1 + inner.x2) / 2;
  canvas.text({middle, area.y1 + 1.6 * size}, shortened(title, area.width(), heading), heading);
  const bool down = direction == PointPlot::YAxis::kDownwards;
  const Scale y = scale_of(y_ticks, down ? inner.y1 : inner.y2, down ? inner.y2 : inner.y1);
  for (const double t : x_ticks) {
    const double at = std::round(scale_of(x_ticks, inner.x1, inner.x2).at(t));
    canvas.fill({at, inner.y1, at + 1, inner.y2}, kGrid);
    canvas.text({at, inner.y2 + 1.5 * size}, tick_label(t, step_of(x_ticks)), ticks);
  }
  for (const double t : y_ticks) {
    const double at = std::round(y.at(t));
    canvas.fill({inner.x1, at, inner.x2, at + 1}, kGrid);
    canvas.text({inner.x1 - 0.8 * size, at}, tick_label(t, step_of(y_ticks)),
                label_style(size, Align::kRight));
  }
  canvas.fill({inner.x1, inner.y2, inner.x2, inner.y2 + 1}, kAxis);
  canvas.text({middle, inner.y2 + 3.8 * size}, x_label, ticks);
  TextStyle upwards = ticks;
  upwards.direction = TextStyle::Direction::kUp;
  if (!y_label.empty()) {
    canvas.text({area.x1 + size, (inner.y1 + inner.y2) / 2}, y_label, upwards);
  }
  return inner;
}

std::pair<double, double> range_of(const std::vector<PlotSeries>& series,
                                   std::vector<double> PlotSeries::*values) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const PlotSeries& s : series) {
    for (const double v : s.*values) {
      if (!std::isfinite(v)) continue;
      low = std::min(low, v);
      high = std::max(high, v);
    }
  }
  if (!(low <= high)) return {0, 1};
  if (low == high)
    return low == 0 ? std::pair{0.0, 1.0}
                    : std::pair{low - std::abs(low) / 2, high + std::abs(high) / 2};
  return {low, high};
}

void draw_legend(Canvas& canvas, const Area& inner, const LinePlot& plot) {
  const double size = plot.text_size;
  const double line = 2.1 * size;
  const int64_t fitting = std::max<int64_t>(1, int64_t((inner.height() - size) / line));
  std::vector<const PlotSeries*> named;
  for (const PlotSeries& s : plot.series) {
    if (!s.name.empty()) named.push_back(&s);
  }
  if (named.empty()) return;
  const TextStyle style = label_style(size, Align::kLeft, kInk);
  double width = 0;
  for (const PlotSeries* s : named) width = std::max(width, Canvas::text_width(s->name, style));
  const int64_t shown = std::min<int64_t>(int64_t(named.size()), fitting);
  const double right = inner.x2 - size, left = right - width - 4.6 * size;
  const Area box{left, inner.y1 + size / 2, right, inner.y1 + size + line * double(shown)};
  canvas.fill(box, {255, 255, 255}, 0.86);
  canvas.frame(box, 1, kGrid);
  for (int64_t i = 0; i < shown; ++i) {
    const PlotSeries& s = *named[size_t(i)];
    const double y = box.y1 + size / 4 + line * (double(i) + 0.5);
    const Point stroke[] = {{left + 0.9 * size, y}, {left + 2.9 * size, y}};
    canvas.polyline(stroke, std::max(s.width, 2.0), s.color);
    canvas.text({left + 3.7 * size, y}, s.name, style);
  }
}

}  // namespace

std::vector<double> round_ticks(double low, double high, int wanted, TickKind kind) {
  constexpr double kLargest = 1e300, kSmallest = 1e-300, kRelative = 1e-12;
  low = std::clamp(low, -kLargest, kLargest);
  high = std::clamp(high, -kLargest, kLargest);
  if (!(high > low)) high = low + 1;
  // No smaller steps than doubles of this size can resolve.
  const double raw = std::max({(high - low) / std::max(wanted, 1), kSmallest,
                               kRelative * std::max(std::abs(low), std::abs(high))});
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double factor : {1.0, 2.0, 2.5, 5.0}) {
    if (kind == TickKind::kWhole && factor == 2.5) continue;
    if (factor * power >= raw * 0.999999) {
      step = factor * power;
      break;
    }
  }
  if (kind == TickKind::kWhole) step = std::max(step, 1.0);
  const int64_t first = int64_t(std::floor(low / step + 1e-9));
  const int64_t last = std::max(first + 1, int64_t(std::ceil(high / step - 1e-9)));
  std::vector<double> ticks;
  for (int64_t i = first; i <= last; ++i) ticks.push_back(double(i) * step);
  return ticks;
}

std::string tick_label(double value, double step) {
  const double size = std::max(std::abs(value), step);
  if (size >= 1e6 || step < 1e-5) {
    // As many digits as tell neighbours apart.
    const int digits = 2 + int(std::ceil(std::log10(size / step) - 1e-9));
    return fmt::format("{:.{}g}", value, std::clamp(digits, 2, 12));
  }
  int digits = 0;
  for (double s = step; digits < 8 && std::abs(s - std::round(s)) > 1e-6 * s; s *= 10) ++digits;
  return fmt::format("{:.{}f}", value == 0 ? 0.0 : value, digits);
}

void draw_plot(Canvas& canvas, const Area& area, const LinePlot& plot) {
  const auto [x_low, x_high] = plot.x_range.value_or(range_of(plot.series, &PlotSeries::x));
  const auto [y_low, y_high] = plot.y_range.value_or(range_of(plot.series, &PlotSeries::y));
  const int x_wanted = std::max(2, int(area.width() / (plot.text_size * 9)));
  const int y_wanted = std::max(2, int(area.height() / (plot.text_size * 6)));
  const std::vector<double> x_ticks =
      round_ticks(x_low, x_high, std::min(x_wanted, 10), plot.x_ticks);
  const std::vector<double> y_ticks = round_ticks(y_low, y_high, std::min(y_wanted, 10));
  const Area inner = draw_axes(canvas, area, plot.title, plot.x_label, plot.y_label, x_ticks,
                               y_ticks, plot.text_size);
  const Scale x = scale_of(x_ticks, inner.x1, inner.x2);
  const Scale y = scale_of(y_ticks, inner.y2, inner.y1);
  for (const PlotSeries& s : plot.series) {
    std::vector<Point> points;
    const auto flush = [&] {
      if (!points.empty()) canvas.polyline(points, s.width, s.color, s.alpha);
      points.clear();
    };
    for (size_t i = 0; i < std::min(s.x.size(), s.y.size()); ++i) {
      if (!std::isfinite(s.x[i]) || !std::isfinite(s.y[i])) {
        flush();
        continue;
      }
      const Point p{x.at(s.x[i]), std::clamp(y.at(s.y[i]), inner.y1, inner.y2)};
      points.push_back(p);
      if (s.dots) canvas.disc(p, s.width + 0.8, s.color, s.alpha);
    }
    flush();
  }
  draw_legend(canvas, inner, plot);
}

void draw_plot(Canvas& canvas, const Area& area, const MatrixPlot& plot) {
  const double size = plot.text_size;
  const TextStyle names = label_style(size, Align::kRight);
  double longest_row = 0, longest_column = 0;
  for (const auto& n : plot.rows) longest_row = std::max(longest_row, Canvas::text_width(n, names));
  for (const auto& n : plot.columns) {
    longest_column = std::max(longest_column, Canvas::text_width(n, names));
  }
  longest_row = std::min(longest_row, area.width() / 4);
  longest_column = std::min(longest_column, area.height() / 4);
  Area inner{area.x1 + longest_row + 4.5 * size, area.y1 + 4 * size, area.x2 - 7 * size,
             area.y2 - longest_column - 5 * size};
  const double cell = std::max(1.0, std::min(inner.width() / double(plot.columns.size()),
                                             inner.height() / double(plot.rows.size())));
  const double left = inner.x1 + (inner.width() - cell * double(plot.columns.size())) / 2;
  inner = {left, inner.y1, left + cell * double(plot.columns.size()),
           inner.y1 + cell * double(plot.rows.size())};
  TextStyle heading = label_style(1.2 * size, Align::kCentre, kInk);
  heading.bold = true;
  canvas.text({(inner.x1 + inner.x2) / 2, area.y1 + 1.8 * size}, plot.title, heading);
  // Names are left out where they would overlap.
  const size_t every = size_t(std::ceil(1.5 * size / cell));
  const Color low{247, 249, 252}, high{8, 48, 107};
  for (size_t r = 0; r < plot.rows.size(); ++r) {
    const double y = inner.y1 + cell * double(r);
    if (r % every == 0) {
      canvas.text({inner.x1 - 0.8 * size, y + cell / 2},
                  shortened(plot.rows[r], longest_row, names), names);
    }
    for (size_t c = 0; c < plot.columns.size(); ++c) {
      const double x = inner.x1 + cell * double(c);
      const size_t i = r * plot.columns.size() + c;
      const double share = std::clamp(plot.values[i], 0.0, 1.0);
      canvas.fill({x, y, x + cell - 1, y + cell - 1}, mixed(low, high, share));
      if (plot.cells.empty() || plot.cells[i].empty()) continue;
      TextStyle ink = label_style(std::min(1.2 * size, cell / 4), Align::kCentre,
                                  share > 0.45 ? Color{255, 255, 255} : kInk);
      if (Canvas::text_width(plot.cells[i], ink) < cell - 2 && ink.size >= 5) {
        canvas.text({x + cell / 2, y + cell / 2}, plot.cells[i], ink);
      }
    }
  }
  canvas.frame({inner.x1 - 1, inner.y1 - 1, inner.x2, inner.y2}, 1, kAxis);
  TextStyle upwards = names;
  upwards.direction = TextStyle::Direction::kUp;
  for (size_t c = 0; c < plot.columns.size(); c += every) {
    canvas.text({inner.x1 + cell * (double(c) + 0.5), inner.y2 + 0.8 * size},
                shortened(plot.columns[c], longest_column, names), upwards);
  }
  canvas.text({(inner.x1 + inner.x2) / 2, inner.y2 + longest_column + 3 * size}, plot.x_label,
              label_style(1.1 * size, Align::kCentre, kInk));
  TextStyle side = label_style(1.1 * size, Align::kCentre, kInk);
  side.direction = TextStyle::Direction::kUp;
  canvas.text({inner.x1 - longest_row - 2.8 * size, (inner.y1 + inner.y2) / 2}, plot.y_label, side);
  const double bar = inner.x2 + 1.5 * size;
  for (double y = inner.y1; y < inner.y2; ++y) {
    canvas.fill({bar, y, bar + 1.4 * size, y + 1},
                mixed(low, high, (inner.y2 - y) / inner.height()));
  }
  for (const double t : {0.0, 0.5, 1.0}) {
    canvas.text({bar + 2 * size, inner.y2 - t * inner.height()}, tick_label(t, 0.5),
                label_style(size, Align::kLeft));
  }
}

void draw_plot(Canvas& canvas, const Area& area, const BarPlot& plot) {
  const double size = plot.text_size;
  const double most =
      plot.values.empty() ? 1 : *std::max_element(plot.values.begin(), plot.values.end());
  const std::vector<double> ticks = round_ticks(0, std::max(most, 1.0), 5);
  const TextStyle names = label_style(size, Align::kRight);
  double longest = 0;
  for (const auto& n : plot.names) longest = std::max(longest, Canvas::text_width(n, names));
  longest = std::min(longest, area.height() / 3);
  Area upper = area;
  upper.y2 -= longest;
  const Area inner = draw_axes(canvas, upper, plot.title, "", plot.y_label, {}, ticks, size);
  const Scale y = scale_of(ticks, inner.y2, inner.y1);
  const double slot = inner.width() / double(std::max<size_t>(plot.names.size(), 1));
  const size_t every = size_t(std::ceil(1.5 * size / slot));
  TextStyle upwards = names;
  upwards.direction = TextStyle::Direction::kUp;
  for (size_t i = 0; i < plot.names.size(); ++i) {
    const double x = inner.x1 + slot * double(i);
    const double gap = std::min(slot * 0.15, 12.0);
    canvas.fill({x + gap, y.at(plot.values[i]), x + slot - gap, inner.y2},
                series_color(int64_t(i)));
    const std::string count = fmt::format("{:.0f}", plot.values[i]);
    if (Canvas::text_width(count, names) < slot - 2) {
      canvas.text({x + slot / 2, y.at(plot.values[i]) - size}, count, label_style(size));
    }
    if (i % every == 0) {
      canvas.text({x + slot / 2, inner.y2 + size}, shortened(plot.names[i], longest, names),
                  upwards);
    }
  }
}

void draw_plot(Canvas& canvas, const Area& area, const PointPlot& plot) {
  const std::vector<double> ticks = round_ticks(0, 1, 5);
  const Area inner = draw_axes(canvas, area, plot.title, plot.x_label, plot.y_label, ticks, ticks,
                               plot.text_size, plot.y_axis);
  const bool down = plot.y_axis == PointPlot::YAxis::kDownwards;
  // Colours show the number of points per cell; overlapping points would hide where most are.
  constexpr int kCells = 48;
  std::vector<double> count(size_t(kCells * kCells), 0);
  double most = 0;
  for (const Point& p : plot.points) {
    const int column = std::clamp(int(p.x * kCells), 0, kCells - 1);
    const int row = std::clamp(int((down ? p.y : 1 - p.y) * kCells), 0, kCells - 1);
    most = std::max(most, ++count[size_t(row * kCells + column)]);
  }
  const double w = inner.width() / kCells, h = inner.height() / kCells;
  for (int row = 0; row < kCells; ++row) {
    for (int column = 0; column < kCells; ++column) {
      const double n = count[size_t(row * kCells + column)];
      if (n == 0) continue;
      const double x = inner.x1 + w * column, y = inner.y1 + h * row;
      canvas.fill({x, y, x + w, y + h}, mixed({191, 219, 254}, {30, 58, 138},
                                              std::sqrt((n - 1) / std::max(most - 1, 1.0))));
    }
  }
}

}  // namespace ydistill
