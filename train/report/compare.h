// SPDX-License-Identifier: MIT
// Several runs side by side. Runs that differ in nothing but train.seed are one group, of which
// mean and spread are given.
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
  EpochTable results;                 ///< of an unfinished run what there is
  std::optional<size_t> best;         ///< row of the best epoch
  std::optional<double> teacher_map;  ///< mAP50-95
  double images_per_second = 0;       ///< of the training, mean over the epochs; 0: not known
  std::map<std::string, std::string> settings;  ///< the config, flat: "train.lr0" -> "0.01"
  std::string problem = {};                     ///< with a part of it, one line; else empty
};

struct Spread {
  int64_t n = 0;
  double mean = 0;
  double deviation = 0;  ///< sample standard deviation, divided by n - 1; 0 where n < 2
};
Spread spread_of(std::span<const double> values);

struct RunGroup {
  std::vector<size_t> runs;  ///< into Comparison::runs
  /// Settings in which the groups differ: "distill.loss=kl". Empty where there is one group.
  std::vector<std::string> differs;
  /// Of each column of results.csv, over the best epochs of the runs that have one.
  std::vector<std::pair<std::string, Spread>> at_best;
  const Spread* find(const std::string& column) const;
};

struct Comparison {
  std::vector<ComparedRun> runs;
  std::vector<RunGroup> groups;    ///< in the order of their first run
  std::vector<std::string> notes;  ///< what was left out and why, one line each
};

/// Works on runs that are going on. A report.json that cannot be read costs what it alone knows,
/// which `problem` says. throws FileError for a folder that is no run's, saying what lacks, or a
/// config.json or results.csv that cannot be read.
ComparedRun read_compared_run(const std::filesystem::path& folder);
Comparison compare_runs(std::vector<ComparedRun> runs);
/// Both, for what a user names: a folder given twice counts once, and a run whose config or results
/// cannot be read is left out; notes say so. throws FileError for a folder that is no run's, and
/// where no run is left.
Comparison compare_folders(std::span<const std::filesystem::path> folders);

/// with_results: also every epoch of every run.
std::string to_json(const Comparison& comparison, bool with_results = false);
/// The same as a table for a terminal, lines ended.
std::string as_text(const Comparison& comparison);

}  // namespace ydistill
