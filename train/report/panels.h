// SPDX-License-Identifier: MIT
// Which columns of results.csv share a plot, and what it is called: the same in the picture, on the
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
    std::string name;    ///< "train", "val", "lr0"; empty where the panel has one line
    std::string column;  ///< of results.csv
  };
  std::string title;
  std::vector<Line> lines;
};

/// Columns of the same name stand together (train/box_loss and val/box_loss; x/lr0 to x/lr2), in
/// the order of their first. Columns that are zero in every table are left out: terms that a run
/// does not have.
std::vector<Panel> panels_of(std::span<const EpochTable> tables);

/// "mAP50-95" for metrics/mAP_0.5:0.95.
std::string title_of_column(std::string_view column);

}  // namespace ydistill
