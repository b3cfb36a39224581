// SPDX-License-Identifier: MIT
// The table behind the config file: one row a key. Reading, refusing, writing, the JSON Schema and
// the reference page all walk these rows; a new key is a member in config.h and a row here.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <ydistill/train/config.h>

namespace ydistill {

/// A key's value on its way between JSON and Config. Enums and paths travel as strings.
using ConfigValue =
    std::variant<bool, int64_t, double, std::string, std::vector<std::string>, ClassMerges>;

enum class ConfigKind {
  kBoolean,
  kInteger,
  kNumber,
  kString,
  kPath,
  kGraph,
  kChoice,
  kNames,
  kMerges
};

/// Numbers a key takes, and the steps between them.
struct ConfigRange {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool minimum_excluded = false, maximum_excluded = false;
  int64_t multiple_of = 1;
};

/// Another default, where a key has a value.
struct ConfigAlternative {
  std::string key;    ///< train.compat
  std::string value;  ///< v5
  ConfigValue then;
};

struct ConfigField {
  std::string path;  ///< train.epochs
  ConfigKind kind = ConfigKind::kString;
  ConfigValue (*get)(const Config&) = nullptr;         ///< the sections on the way must exist
  void (*set)(Config&, const ConfigValue&) = nullptr;  ///< value of the row's kind, checked
  std::string description;
  ConfigRange range = {};                       ///< integers and numbers
  std::vector<std::string> choices = {};        ///< kChoice
  bool may_be_empty = false;                    ///< kNames: "" is one, and may stand there twice
  std::string pattern = {};                     ///< kString: the regular expression of `accepts`
  bool (*accepts)(std::string_view) = nullptr;  ///< kString: nullptr takes every string but ""
  std::string expected = {};                    ///< kString with `accepts`: the pattern in words
  /// Where the default is not Config{}'s; the last that holds counts. A key that decides has none.
  std::vector<ConfigAlternative> alternatives = {};
  std::string default_text = {};  ///< where Config{} does not tell the default
};

struct ConfigSection {
  std::string path;  ///< teacher, data.train
  std::string description;
  /// Sections that may be absent: make it (true, empty) or remove it (false).
  void (*emplace)(Config&, bool present) = nullptr;
  bool (*present)(const Config&) = nullptr;
  bool replaced_whole = false;  ///< an object given for it forgets what stood there before
};

std::span<const ConfigField> config_fields();
std::span<const ConfigSection> config_sections();

/// nullptr where there is none.
const ConfigField* find_config_field(std::string_view path);
const ConfigSection* find_config_section(std::string_view path);

/// What the key takes, as messages and the reference page say it: `an integer >= 1`.
std::string expected_text(const ConfigField& field);

/// "train" of "train.epochs", "" of "device".
std::string_view parent_path(std::string_view path);
/// "epochs" of "train.epochs".
std::string_view last_part(std::string_view path);

/// The known key or section that `path` was probably meant to be; empty where nothing is near.
std::string nearest_config_path(std::string_view path);

}  // namespace ydistill
