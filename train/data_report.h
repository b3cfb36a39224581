// SPDX-License-Identifier: MIT
// Everything that can be said about the data of a config before training: what `ydistill check`
// prints.
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
  std::vector<Finding> missing;          ///< a set that training asks for

  int64_t num_findings() const;
};

enum class CheckDepth {
  kHeaders,  ///< pictures as far as their headers go
  kPixels,   ///< every picture is decoded
};

/// Reads data.train, data.val and data.unlabeled, whichever are there, as training does: by
/// data.names, else the names of the training data, and with train.single_class. throws
/// ConfigError, FileError.
DataReport report_data(const Config& config, CheckDepth depth);

/// One JSON document: {"ok", "sets": {name: {statistics}}, "findings": [...], "notes": [...]}.
std::string to_json(const DataReport& report);
/// For a terminal: a table a set, then all findings, one a line.
std::string to_text(const DataReport& report);

}  // namespace ydistill
