// SPDX-License-Identifier: MIT
#include <ydistill/train/report/panels.h>

#include <algorithm>
#include <map>

namespace ydistill {
namespace {

std::string_view behind_slash(std::string_view column) {
  const size_t slash = column.find('/');
  return slash == column.npos ? column : column.substr(slash + 1);
}

/// The part of a column's name that all columns of one panel share.
std::string_view key_of(std::string_view column) {
  std::string_view key = behind_slash(column);
  if (column.starts_with("x/")) {
    while (!key.empty() && key.back() >= '0' && key.back() <= '9') key.remove_suffix(1);
  }
  return key;
}

std::string name_in_panel(std::string_view column) {
  const size_t slash = column.find('/');
  if (column.starts_with("x/") || slash == column.npos) return std::string(behind_slash(column));
  return std::string(column.substr(0, slash));
}

bool is_zero(std::span<const EpochTable> tables, const std::string& column) {
  return std::all_of(tables.begin(), tables.end(), [&column](const EpochTable& table) {
    const std::vector<double> values = table.values(column);
    return std::all_of(values.begin(), values.end(), [](double v) { return v == 0; });
  });
}

}  // namespace

std::string title_of_column(std::string_view column) {
  static const std::map<std::string_view, const char*> kTitles{
      {"mAP_0.5", "mAP50"},
      {"mAP_0.5:0.95", "mAP50-95"},
      {"lr", "learning rate"},
      {"distill_loss", "distillation loss"},
      {"distill_box_loss", "distillation: box"},
      {"distill_obj_loss", "distillation: objectness"},
      {"distill_cls_loss", "distillation: classes"},
      {"distill_feature_loss", "distillation: features"},
      {"obj_loss", "objectness loss"},
      {"cls_loss", "class loss"},
      {"unlabelled", "share of unlabelled pictures"},
      {"grad_ratio", "gradient norms: distillation / detection"},
  };
  const std::string_view key = key_of(column);
  if (const auto known = kTitles.find(key); known != kTitles.end()) return known->second;
  std::string title(key);
  std::replace(title.begin(), title.end(), '_', ' ');
  return title;
}

std::vector<Panel> panels_of(std::span<const EpochTable> tables) {
  std::vector<Panel> panels;
  std::vector<std::string> keys, seen;
  for (const EpochTable& table : tables) {
    for (const std::string& column : table.columns) {
      if (std::find(seen.begin(), seen.end(), column) != seen.end()) continue;
      seen.push_back(column);
      if (is_zero(tables, column)) continue;
      const std::string key(key_of(column));
      const size_t at = size_t(std::find(keys.begin(), keys.end(), key) - keys.begin());
      if (at == keys.size()) {
        keys.push_back(key);
        panels.push_back({title_of_column(column), {}});
      }
      panels[at].lines.push_back({name_in_panel(column), column});
    }
  }
  for (Panel& panel : panels) {
    if (panel.lines.size() == 1) panel.lines.front().name.clear();
  }
  return panels;
}

}  // namespace ydistill
