// SPDX-License-Identifier: MIT
// Which columns of results.csv share a plot, and the plot's title: the same in results.png, on the
// page and in a comparison.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ydistill/train/report/record.h>

namespace ydistill {

struct Panel {
  struct Line {
    std::string name;    ///< "train", "val", "lr0"; empty if the panel has one line
    std::string column;  ///< of results.csv
  };
  std::string title;
  std::vector<Line> lines;
};

/// Columns of the same name share a panel (train/box_loss and val/box_loss; x/lr0 to x/lr2); panels
/// are in the order of their first column. Columns that are zero in every table are left out: terms
/// that the runs do not use.
std::vector<Panel> panels_of(std::span<const EpochTable> tables);

/// Example: "mAP50-95" for metrics/mAP_0.5:0.95.
std::string title_of_column(std::string_view column);

}  // namespace ydistill
