// SPDX-License-Identifier: MIT
#include <algorithm>
#include <charconv>
#include <sstream>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/train/report/record.h>

namespace ydistill {
namespace {

std::vector<std::string> split(std::string line) {
  if (!line.empty() && line.back() == '\r') line.pop_back();
  std::vector<std::string> cells;
  std::string cell;
  for (const char c : line + ",") {
    if (c == ',') {
      cells.push_back(cell);
      cell.clear();
    } else if (c != ' ') {  // YOLOv5 pads its own results.csv
      cell += c;
    }
  }
  return cells;
}

}  // namespace

std::optional<size_t> EpochTable::find(const std::string& column) const {
  const auto found = std::find(columns.begin(), columns.end(), column);
  if (found == columns.end()) return std::nullopt;
  return size_t(found - columns.begin());
}

std::vector<double> EpochTable::values(const std::string& column) const {
  std::vector<double> result;
  if (const auto index = find(column)) {
    for (const auto& row : rows) result.push_back(row[*index]);
  }
  return result;
}

std::optional<size_t> EpochTable::best_row() const {
  const std::vector<double> map50 = values("metrics/mAP_0.5"), map = values("metrics/mAP_0.5:0.95");
  if (map50.empty() || map.empty()) return std::nullopt;
  size_t best = 0;
  const auto fitness = [&](size_t i) { return 0.1 * map50[i] + 0.9 * map[i]; };
  for (size_t i = 1; i < map.size(); ++i) {
    if (fitness(i) >= fitness(best)) best = i;
  }
  return best;
}

EpochTable parse_results(const std::string& text, const std::string& source) {
  EpochTable table;
  std::istringstream in(text);
  std::string line;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    const std::vector<std::string> cells = split(line);
    if (number == 1) {
      if (cells.front() != "epoch") {
        throw FileError("{}:1: not the results of a run, the first column is not `epoch`", source);
      }
      if (!is_utf8(line)) {
        throw FileError("{}:1: not the results of a run, a column's name is no UTF-8", source);
      }
      table.columns.assign(cells.begin() + 1, cells.end());
      continue;
    }
    if (cells.size() == 1 && cells.front().empty()) continue;
    if (cells.size() != table.columns.size() + 1) {
      throw FileError("{}:{}: {} columns, the first line has {}", source, number, cells.size(),
                      table.columns.size() + 1);
    }
    std::vector<double> row;
    for (const std::string& cell : cells) {
      double value = 0;
      const auto [end, error] = std::from_chars(cell.data(), cell.data() + cell.size(), value);
      if (error != std::errc() || end != cell.data() + cell.size()) {
        throw FileError("{}:{}: \"{}\" is no number", source, number, printable(cell, 40));
      }
      row.push_back(value);
    }
    if (!(row.front() >= 0 && row.front() <= double(kMaxEpoch))) {
      throw FileError("{}:{}: epoch \"{}\", 0 to {} wanted", source, number, cells.front(),
                      kMaxEpoch);
    }
    table.epochs.push_back(int64_t(row.front()));
    table.rows.emplace_back(row.begin() + 1, row.end());
  }
  if (table.columns.empty()) throw FileError("{}: not the results of a run, it is empty", source);
  return table;
}

MetricsResult with_fewer_points(MetricsResult metrics, int64_t points) {
  const auto thin = [points](std::vector<double>& curve) {
    const int64_t n = int64_t(curve.size());
    if (n <= points) return;
    std::vector<double> thinned;
    for (int64_t i = 0; i < points; ++i) {
      thinned.push_back(curve[size_t((i * (n - 1) + (points - 1) / 2) / (points - 1))]);
    }
    curve = std::move(thinned);
  };
  for (ClassMetrics& c : metrics.per_class) {
    thin(c.precision_by_score);
    thin(c.recall_by_score);
    thin(c.precision_by_recall);
  }
  return metrics;
}

}  // namespace ydistill
