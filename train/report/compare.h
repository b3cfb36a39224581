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
  std::vector<RunGroup> groups;  ///< in the order of their first run
};

/// Works on runs that are going on. throws FileError for a folder that is no run's, saying what
/// lacks, or a file in it that cannot be read.
ComparedRun read_compared_run(const std::filesystem::path& folder);
Comparison compare_runs(std::vector<ComparedRun> runs);

/// with_results: also every epoch of every run.
std::string to_json(const Comparison& comparison, bool with_results = false);
/// The same as a table for a terminal, lines ended.
std::string as_text(const Comparison& comparison);

}  // namespace ydistill
