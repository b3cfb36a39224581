// SPDX-License-Identifier: MIT
// Comparison of several runs. Runs that differ only in train.seed form a group, for which mean and
// spread are given.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <ydistill/train/report/record.h>

namespace ydistill {

struct ComparedRun {
  std::filesystem::path folder;
  std::string name;  ///< of the folder
  int64_t seed = 0, epochs_planned = 0;
  bool finished = false;
  EpochTable results;                           ///< of an unfinished run: so far
  std::optional<size_t> best;                   ///< row of the best epoch
  std::optional<double> teacher_map;            ///< mAP50-95
  double images_per_second = 0;                 ///< of training, mean over the epochs; 0: not known
  std::map<std::string, std::string> settings;  ///< the config, flat: "train.lr0" -> "0.01"
  std::string problem = {};                     ///< on an unreadable part; else empty
};

struct Spread {
  int64_t n = 0;
  double mean = 0;
  double deviation = 0;  ///< sample standard deviation, divided by n - 1; 0 where n < 2
};
Spread spread_of(std::span<const double> values);

struct RunGroup {
  std::vector<size_t> runs;  ///< into Comparison::runs
  /// Settings in which the groups differ: "distill.loss=kl". Empty if there is one group.
  std::vector<std::string> differs;
  /// Per column of results.csv: the spread over the best epochs of the runs that have one.
  std::vector<std::pair<std::string, Spread>> at_best;
  const Spread* find(const std::string& column) const;
};

struct Comparison {
  std::vector<ComparedRun> runs;
  std::vector<RunGroup> groups;    ///< in the order of their first run
  std::vector<std::string> notes;  ///< what was left out and why, one line each
};

/// Also works on unfinished runs. If report.json cannot be read, what only it contains is missing,
/// and `problem` says so. throws FileError for a folder that is not a run's, saying what is
/// missing, or a config.json or results.csv that cannot be read.
ComparedRun read_compared_run(const std::filesystem::path& folder);
Comparison compare_runs(std::vector<ComparedRun> runs);
/// Reads and compares the folders that a user names: a folder given twice counts once, and a run
/// whose config or results cannot be read is left out; notes say so. throws FileError for a folder
/// that is not a run's, and if no run is left.
Comparison compare_folders(std::span<const std::filesystem::path> folders);

/// with_results: also every epoch of every run.
std::string to_json(const Comparison& comparison, bool with_results = false);
/// The same as a table for a terminal; every line ends with a line break.
std::string as_text(const Comparison& comparison);

}  // namespace ydistill
