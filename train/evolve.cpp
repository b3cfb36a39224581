// SPDX-License-Identifier: MIT
#include <ydistill/train/evolve.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <sstream>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/folder_lock.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/tensor/random.h>
#include <ydistill/train/config_table.h>
#include <ydistill/train/train_state.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

constexpr uint32_t kEvolveStream = 0x65766f6c;
constexpr size_t kParents = 5;

// Gains and limits as YOLOv5's train.py has them.
constexpr EvolvedKey kKeys[] = {
    {"train.lr0", 1, 1e-5, 1e-1},
    {"train.lrf", 1, 0.01, 1},
    {"train.momentum", 0.3, 0.6, 0.98},
    {"train.weight_decay", 1, 0, 0.001},
    {"train.warmup_epochs", 1, 0, 5},
    {"train.warmup_momentum", 1, 0, 0.95},
    {"train.warmup_bias_lr", 1, 0, 0.2},
    {"loss.box", 1, 0.02, 0.2},
    {"loss.cls", 1, 0.2, 4},
    {"loss.cls_pw", 1, 0.5, 2},
    {"loss.obj", 1, 0.2, 4},
    {"loss.obj_pw", 1, 0.5, 2},
    {"loss.anchor_t", 1, 2, 8},
    {"augment.hsv_h", 1, 0, 0.1},
    {"augment.hsv_s", 1, 0, 0.9},
    {"augment.hsv_v", 1, 0, 0.9},
    {"augment.degrees", 1, 0, 45},
    {"augment.translate", 1, 0, 0.9},
    {"augment.scale", 1, 0, 0.9},
    {"augment.shear", 1, 0, 10},
    {"augment.flipud", 1, 0, 1},
    {"augment.mosaic", 1, 0, 1},
    {"augment.mixup", 1, 0, 1},
    {"augment.copy_paste", 1, 0, 1},
};
// Ours, chosen in the same way.
constexpr EvolvedKey kDistillKeys[] = {
    {"distill.temperature", 1, 1, 100}, {"distill.box", 1, 0, 10},     {"distill.obj", 1, 0, 10},
    {"distill.cls", 1, 0, 100},         {"distill.feature", 1, 0, 10},
};

const ConfigField& field_of(const EvolvedKey& key) {
  const ConfigField* field = find_config_field(key.path);
  if (field == nullptr) throw ValueError("evolve: no key {}", key.path);
  return *field;
}

std::vector<double> values_of(const Config& config) {
  std::vector<double> values;
  for (const EvolvedKey& key : evolved_keys(config)) {
    values.push_back(std::get<double>(field_of(key).get(config)));
  }
  return values;
}

Config with_values(Config config, const std::vector<double>& values) {
  const std::vector<EvolvedKey> keys = evolved_keys(config);
  for (size_t i = 0; i < keys.size(); ++i) field_of(keys[i]).set(config, values[i]);
  return config;
}

/// Five digits, so that the file holds exactly the values that were trained.
double rounded(double value) {
  double result = 0;
  const std::string text = fmt::format("{:.5g}", value);
  std::from_chars(text.data(), text.data() + text.size(), result);
  return result;
}

/// One of the fittest, drawn in proportion to how far its fitness is above the lowest of them.
const Generation& parent_of(std::span<const Generation> done, Rng& rng) {
  std::vector<const Generation*> best;
  for (const Generation& generation : done) best.push_back(&generation);
  std::stable_sort(best.begin(), best.end(), [](const Generation* a, const Generation* b) {
    return a->fitness > b->fitness;
  });
  best.resize(std::min(best.size(), kParents));
  const double least = best.back()->fitness - 1e-6;
  double total = 0;
  for (const Generation* generation : best) total += generation->fitness - least;
  double place = rng.uniform() * total;
  for (const Generation* generation : best) {
    place -= generation->fitness - least;
    if (place < 0) return *generation;
  }
  return *best.front();
}

std::string header_of(const Config& config) {
  std::string header = "generation,fitness,metrics/mAP_0.5,metrics/mAP_0.5:0.95";
  for (const EvolvedKey& key : evolved_keys(config)) header += fmt::format(",{}", key.path);
  return header;
}

void write_generations(const fs::path& file, const Config& config,
                       std::span<const Generation> generations) {
  std::string text = header_of(config) + "\n";
  for (size_t i = 0; i < generations.size(); ++i) {
    const Generation& g = generations[i];
    text += fmt::format("{},{},{},{}", i, g.fitness, g.map50, g.map);
    for (const double value : g.values) text += fmt::format(",{}", value);
    text += "\n";
  }
  write_file_atomically(file, text);
}

std::vector<Generation> read_generations(const fs::path& file, const Config& config) {
  std::error_code error;
  if (!fs::exists(file, error)) return {};
  std::istringstream lines(read_text_file(file));
  std::string line;
  std::getline(lines, line);
  if (line != header_of(config)) {
    throw ConfigError("{}: has other columns than a search of this config", file.string());
  }
  std::vector<Generation> generations;
  while (std::getline(lines, line)) {
    std::vector<double> numbers;
    const char* at = line.data();
    const char* const end = line.data() + line.size();
    for (;;) {
      double number = 0;
      const auto [next, failure] = std::from_chars(at, end, number);
      const bool is_number = failure == std::errc() && std::isfinite(number);
      if (!is_number || (next != end && *next != ',')) {
        throw FileError("{}:{}: \"{}\" is no number", file.string(), generations.size() + 2,
                        printable({at, std::find(at, end, ',')}, 40));
      }
      numbers.push_back(number);
      if (next == end) break;
      at = next + 1;
    }
    if (numbers.size() != 4 + evolved_keys(config).size()) {
      throw FileError("{}:{}: {} numbers, {} wanted", file.string(), generations.size() + 2,
                      numbers.size(), 4 + evolved_keys(config).size());
    }
    generations.push_back(
        {numbers[1], numbers[2], numbers[3], {numbers.begin() + 4, numbers.end()}});
  }
  return generations;
}

size_t best_of(const std::vector<Generation>& generations) {
  return size_t(std::max_element(generations.begin(), generations.end(),
                                 [](const Generation& a, const Generation& b) {
                                   return a.fitness < b.fitness;
                                 }) -
                generations.begin());
}

/// Whether a run's config.json is equal to the wanted text, after parsing.
bool is_config(const std::string& text, const std::string& wanted) {
  try {
    return to_json(parse_run_config(text, "config.json")) == wanted;
  } catch (const ConfigError&) {
    return false;
  }
}

/// Trains one generation, or continues it if it was begun. throws ConfigError for a folder of its
/// name that was made by something else.
TrainOutcome train_generation(const Config& config, TrainEvents& events) {
  const fs::path run = config.run.dir / config.run.name;
  std::error_code error;
  if (!fs::exists(run, error)) return train(config, events);
  const std::string wanted = to_json(config);
  const fs::path last = run / "weights" / "last.safetensors";
  const bool has_checkpoint = fs::exists(last, error);
  const fs::path kept = run / "config.json";
  const bool is_ours = has_checkpoint
                           ? to_json(read_train_config(last)) == wanted
                           : fs::exists(kept, error) && is_config(read_text_file(kept), wanted);
  if (!is_ours) {
    throw ConfigError("evolve: {} is not of this search; move it away or name another folder",
                      run.string());
  }
  if (has_checkpoint) return resume_training(run, events);
  fs::remove_all(run, error);  // killed before its first checkpoint
  return train(config, events);
}

}  // namespace

std::vector<EvolvedKey> evolved_keys(const Config& config) {
  std::vector<EvolvedKey> keys(std::begin(kKeys), std::end(kKeys));
  if (config.teacher) keys.insert(keys.end(), std::begin(kDistillKeys), std::end(kDistillKeys));
  return keys;
}

std::vector<double> next_values(const Config& config, std::span<const Generation> done,
                                uint64_t seed) {
  constexpr double kProbability = 0.8, kSpread = 0.2, kLow = 0.3, kHigh = 3;
  if (done.empty()) return values_of(config);
  const std::vector<EvolvedKey> keys = evolved_keys(config);
  Rng rng(seed, uint64_t(done.size()), 0, kEvolveStream);
  const std::vector<double> parent = parent_of(done, rng).values;
  std::vector<double> values = parent;
  while (values == parent) {
    const double amount = rng.uniform() * kSpread;
    for (size_t i = 0; i < keys.size(); ++i) {
      const bool changes = rng.uniform() < kProbability;
      const double change = changes ? keys[i].gain * amount * rng.normal() : 0.0;
      if (parent[i] == 0 || !changes) continue;  // even if the config is outside the limits
      values[i] = rounded(
          std::clamp(parent[i] * std::clamp(1 + change, kLow, kHigh), keys[i].low, keys[i].high));
    }
  }
  return values;
}

EvolveOutcome evolve(const Config& config, const fs::path& folder, int64_t generations,
                     TrainEvents& events) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) {
    throw FileError("{}: the search's folder cannot be made: {}", folder.string(), error.message());
  }
  if (fs::exists(folder / "weights" / "last.safetensors", error)) {
    throw ConfigError("{}: holds a run; name another folder for the search", folder.string());
  }
  const FolderLock lock(folder);
  remove_left_temporaries(folder);
  const std::string text = to_json(config) + "\n";
  // Files of a config that failed before its first training do not count as a search.
  const bool is_begun =
      fs::exists(folder / "evolve.csv", error) || fs::exists(folder / "gen000", error);
  if (!is_begun || !fs::exists(folder / "config.json", error)) {
    write_file_atomically(folder / "config.json", text);
  } else if (read_text_file(folder / "config.json") != text) {
    throw ConfigError("{}: holds the search of another config; name another folder",
                      folder.string());
  }
  EvolveOutcome outcome;
  outcome.generations = read_generations(folder / "evolve.csv", config);
  if (!outcome.generations.empty()) {
    events.message(fmt::format("evolve: continues after {} generations in {}",
                               outcome.generations.size(), folder.string()));
  }
  while (int64_t(outcome.generations.size()) < generations) {
    const size_t number = outcome.generations.size();
    Generation generation;
    generation.values = next_values(config, outcome.generations, uint64_t(config.train.seed));
    Config candidate = with_values(config, generation.values);
    candidate.run.dir = fs::absolute(folder);
    candidate.run.name = fmt::format("gen{:03}", number);
    events.message(fmt::format("evolve: generation {} of {}", number + 1, generations));
    try {
      const TrainOutcome trained = train_generation(candidate, events);
      if (!trained.finished) return outcome;
      for (const EpochResult& result : trained.results) {
        if (result.fitness() < generation.fitness) continue;
        generation.fitness = result.fitness();
        generation.map50 = result.map50;
        generation.map = result.map;
      }
    } catch (const NotFiniteError& diverged) {
      events.message(fmt::format("evolve: generation {}: {}", number + 1, diverged.what()));
    }
    outcome.generations.push_back(std::move(generation));
    write_generations(folder / "evolve.csv", config, outcome.generations);
    outcome.best = best_of(outcome.generations);
    const Generation& best = outcome.generations[outcome.best];
    write_file_atomically(folder / "best.json", to_json(with_values(config, best.values)) + "\n");
    events.message(fmt::format(
        "evolve: generation {} has fitness {:.4f}; the best is {} with {:.4f}", number + 1,
        outcome.generations.back().fitness, outcome.best + 1, best.fitness));
  }
  outcome.best = outcome.generations.empty() ? 0 : best_of(outcome.generations);
  outcome.finished = true;
  return outcome;
}

}  // namespace ydistill
