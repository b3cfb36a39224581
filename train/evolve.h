// SPDX-License-Identifier: MIT
// Search for hyper-parameters by evolution (YOLOv5's --evolve): each generation trains once, with
// the numbers of a good earlier generation changed at random.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <ydistill/train/config.h>
#include <ydistill/train/trainer.h>

namespace ydistill {

/// A key that is searched, how strongly it changes and how far it may go.
struct EvolvedKey {
  const char* path;  ///< of config_fields()
  double gain;       ///< times the change of all; 0: stays
  double low, high;
};
/// Those that a config's search changes; the distillation's only where there is a teacher. A key at
/// 0 stays there: changes are factors.
std::vector<EvolvedKey> evolved_keys(const Config& config);

/// A generation that is done: a line of evolve.csv.
struct Generation {
  double fitness = 0;  ///< of its best epoch; 0 where the loss was not finite
  double map50 = 0, map = 0;
  std::vector<double> values;  ///< of evolved_keys()
};

/// The values to try after these generations, a function of its arguments alone. One of the five
/// fittest is the parent, chosen in proportion to its fitness above the least; each value is
/// multiplied, with probability 0.8, by 1 + a normal number of spread 0.2, within 0.3 to 3 and the
/// key's limits. Of no generations: the config's own values.
std::vector<double> next_values(const Config& config, std::span<const Generation> done,
                                uint64_t seed);

struct EvolveOutcome {
  std::vector<Generation> generations;
  size_t best = 0;
  bool finished = false;  ///< false: stopped, to be continued by the same call
};

/// Trains until `generations` of them are done. folder holds evolve.csv, config.json, best.json
/// (the config with the fittest values) and a run folder a generation; a search that is there
/// already, or was killed, goes on. throws ConfigError where the folder holds the search of another
/// config; what train() throws.
EvolveOutcome evolve(const Config& config, const std::filesystem::path& folder, int64_t generations,
                     TrainEvents& events);

}  // namespace ydistill
