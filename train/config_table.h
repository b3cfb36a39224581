// SPDX-License-Identifier: MIT
// The table behind the config file: one row per key. Reading, checking, writing, the JSON Schema
// and the reference page all use these rows; a new key is a member in config.h and a row here.
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

/// A key's value between JSON and Config. Enums and paths are held as strings.
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

/// The range of a number, and the step between allowed values.
struct ConfigRange {
  double minimum = -std::numeric_limits<double>::infinity();
  double maximum = std::numeric_limits<double>::infinity();
  bool minimum_excluded = false, maximum_excluded = false;
  int64_t multiple_of = 1;
};

/// Another default, which applies if a key has a certain value.
struct ConfigAlternative {
  std::string key;    ///< train.compat
  std::string value;  ///< v5
  ConfigValue then;
};

struct ConfigField {
  std::string path;  ///< train.epochs
  ConfigKind kind = ConfigKind::kString;
  ConfigValue (*get)(const Config&) = nullptr;         ///< parent sections must exist
  void (*set)(Config&, const ConfigValue&) = nullptr;  ///< value of the row's kind, checked
  std::string description;
  ConfigRange range = {};                       ///< integers and numbers
  std::vector<std::string> choices = {};        ///< kChoice
  bool may_be_empty = false;                    ///< kNames: "" is allowed, also several times
  std::string pattern = {};                     ///< kString: the regular expression of `accepts`
  bool (*accepts)(std::string_view) = nullptr;  ///< kString: nullptr accepts every string but ""
  std::string expected = {};                    ///< kString with `accepts`: the pattern in words
  /// Where the default is not Config{}'s; the last match counts. A key that selects a default has
  /// none.
  std::vector<ConfigAlternative> alternatives = {};
  std::string default_text = {};  ///< for a default that Config{} does not show
};

struct ConfigSection {
  std::string path;  ///< teacher, data.train
  std::string description;
  /// For sections that may be absent: creates it (true, empty) or removes it (false).
  void (*emplace)(Config&, bool present) = nullptr;
  bool (*present)(const Config&) = nullptr;
  bool replaced_whole = false;  ///< an object given for it discards the previous contents
};

std::span<const ConfigField> config_fields();
std::span<const ConfigSection> config_sections();

/// nullptr where there is none.
const ConfigField* find_config_field(std::string_view path);
const ConfigSection* find_config_section(std::string_view path);

/// The values a key takes, as in messages and on the reference page: `an integer >= 1`.
std::string expected_text(const ConfigField& field);

/// "train" of "train.epochs", "" of "device".
std::string_view parent_path(std::string_view path);
/// "epochs" of "train.epochs".
std::string_view last_part(std::string_view path);

/// The known key or section that `path` was probably meant to be; empty if none is similar.
std::string nearest_config_path(std::string_view path);

}  // namespace ydistill
