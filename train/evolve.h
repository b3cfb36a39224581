// SPDX-License-Identifier: MIT
// Hyper-parameter search by evolution (YOLOv5's --evolve): each generation trains once, with
// randomly changed values of a good earlier generation.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/trainer.h>

namespace ydistill {

/// A key that is searched, the strength of its changes and its limits.
struct EvolvedKey {
  const char* path;  ///< of config_fields()
  double gain;       ///< factor of the random change; 0: never changed
  double low, high;
};
/// The keys that a config's search changes; those of the distillation only with a teacher. A key at
/// 0 stays 0, because changes are factors.
std::vector<EvolvedKey> evolved_keys(const Config& config);

/// A finished generation: a line of evolve.csv.
struct Generation {
  double fitness = 0;  ///< of its best epoch; 0 where the loss was not finite
  double map50 = 0, map = 0;
  std::vector<double> values;  ///< of evolved_keys()
};

/// The values to try after these generations; they depend only on the arguments. The parent is one
/// of the five fittest, drawn in proportion to its fitness above the lowest of them. Each value is
/// multiplied, with probability 0.8, by 1 + gain * spread * a standard normal number, within 0.3 to
/// 3 and the key's limits; the spread is drawn per generation, 0 to 0.2. Of no generations: the
/// config's own values.
std::vector<double> next_values(const Config& config, std::span<const Generation> done,
                                uint64_t seed);

struct EvolveOutcome {
  std::vector<Generation> generations;
  size_t best = 0;
  bool finished = false;  ///< false: stopped; the same call continues it
};

/// Trains until there are `generations` of them. folder holds evolve.csv, config.json, best.json
/// (the config with the fittest values) and one run folder per generation; a search that was
/// stopped or killed there is continued. throws ConfigError if the folder holds the search of
/// another config; what train() throws.
EvolveOutcome evolve(const Config& config, const std::filesystem::path& folder, int64_t generations,
                     TrainEvents& events);

}  // namespace ydistill
