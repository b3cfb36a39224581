// SPDX-License-Identifier: MIT
// What can be reported about the data of a config before training: the output of `ydistill check`.
#pragma once

#include <string>
#include <vector>

#include <ydistill/data/dataset_check.h>
#include <ydistill/data/dataset_statistics.h>
#include <ydistill/train/config.h>

namespace ydistill {

struct DataReport {
  struct Set {
    std::string name;     ///< "train", "val", "unlabeled"
    std::string summary;  ///< Dataset::summary
    DatasetStatistics statistics;
    std::vector<std::string> notes;
    std::vector<Finding> findings;  ///< of the labels, then of the pictures
  };
  std::vector<Set> sets;                 ///< those that the config has
  std::vector<Finding> shared_findings;  ///< pictures in both
  std::vector<Finding> missing;          ///< a set that training needs

  int64_t num_findings() const;
};

enum class CheckDepth {
  kHeaders,  ///< pictures are checked by their headers
  kPixels,   ///< every picture is decoded
};

/// Reads data.train, data.val and data.unlabeled, as far as given, in the same way as training: by
/// data.names, else the names of the training data, and with train.single_class. throws
/// ConfigError, FileError.
DataReport report_data(const Config& config, CheckDepth depth);

/// One JSON document: {"ok", "sets": {name: {statistics}}, "findings": [...], "notes": [...]}.
std::string to_json(const DataReport& report);
/// For a terminal: one table per set, then all findings, one per line.
std::string to_text(const DataReport& report);

}  // namespace ydistill
