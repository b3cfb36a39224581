// SPDX-License-Identifier: MIT
// Reads and writes the config file. A Config starts with the defaults; the file's values and then
// the overrides replace them, each checked against its row of the table.

#include <ydistill/train/config.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/train/config_table.h>
#include <ydistill/train/config_value_json.h>
#include <ydistill/yolo/graph.h>

namespace ydistill {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// The origin of values: its name in messages, and the folder where its relative paths start.
struct Origin {
  std::string name;
  fs::path base;
};

/// `value` for a message: JSON on one line, shortened if it is long.
std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr size_t kLongest = 60;
  if (text.size() <= kLongest) return text;
  size_t end = kLongest;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;  // whole UTF-8
  return text.substr(0, end) + "...";
}

bool in_range(double value, const ConfigRange& range) {
  const bool low = range.minimum_excluded ? value > range.minimum : value >= range.minimum;
  const bool high = range.maximum_excluded ? value < range.maximum : value <= range.maximum;
  return low && high;
}

/// A whole number that a double and an int64_t both hold exactly.
std::optional<int64_t> whole_number(const Json& value) {
  if (value.is_number_unsigned()) {
    const uint64_t number = value.get<uint64_t>();
    if (number <= uint64_t(INT64_MAX)) return int64_t(number);
  } else if (value.is_number_integer()) {
    return value.get<int64_t>();
  } else if (value.is_number_float()) {
    const double number = value.get<double>();
    if (std::abs(number) < 9e15 && number == std::floor(number)) return int64_t(number);
  }
  return std::nullopt;
}

bool is_list_of_strings(const Json& value) {
  return value.is_array() &&
         std::all_of(value.begin(), value.end(), [](const Json& v) { return v.is_string(); });
}

std::optional<ConfigValue> accepted_merges(const Json& value) {
  if (!value.is_object()) return std::nullopt;
  ClassMerges merges;
  for (const auto& [name, of] : value.items()) {
    if (!is_list_of_strings(of)) return std::nullopt;
    merges.push_back({name, of.get<std::vector<std::string>>()});
  }
  return merges;
}

/// The value of a row from JSON, or nothing if type, range or choice is wrong.
std::optional<ConfigValue> accepted(const ConfigField& field, const Json& value) {
  switch (field.kind) {
    case ConfigKind::kBoolean:
      if (value.is_boolean()) return value.get<bool>();
      break;
    case ConfigKind::kInteger:
      if (const auto number = whole_number(value)) {
        if (in_range(double(*number), field.range) && *number % field.range.multiple_of == 0) {
          return *number;
        }
      }
      break;
    case ConfigKind::kNumber:
      if (value.is_number() && in_range(value.get<double>(), field.range)) {
        return value.get<double>();
      }
      break;
    case ConfigKind::kString:
    case ConfigKind::kPath:
    case ConfigKind::kGraph:
      if (value.is_string()) {
        const std::string& text = value.get_ref<const std::string&>();
        const bool fits = field.accepts ? field.accepts(text) : !text.empty();
        if (fits && text.find('\0') == std::string::npos) return text;
      }
      break;
    case ConfigKind::kChoice:
      if (value.is_string() && std::count(field.choices.begin(), field.choices.end(),
                                          value.get_ref<const std::string&>()) > 0) {
        return value.get<std::string>();
      }
      break;
    case ConfigKind::kNames:
      if (is_list_of_strings(value)) return value.get<std::vector<std::string>>();
      break;
    case ConfigKind::kMerges:
      return accepted_merges(value);
  }
  return std::nullopt;
}

/// A number that is too large for a row without a maximum: the usual message of the row would not
/// give the reason.
bool is_beyond_integers(const ConfigField& field, const Json& value) {
  return field.kind == ConfigKind::kInteger && !std::isfinite(field.range.maximum) &&
         value.is_number() && !whole_number(value) && value.get<double>() >= 9e15;
}

bool is_relocated_path(const ConfigField& field, const std::string& text) {
  if (field.kind == ConfigKind::kGraph) return is_graph_file(text);
  return field.kind == ConfigKind::kPath && field.path != "run.dir";
}

[[noreturn]] void unknown_key(const Origin& origin, const std::string& path) {
  const std::string nearest = nearest_config_path(path), key = printable(path, 120);
  if (const ConfigField* parent = find_config_field(parent_path(path))) {
    throw ConfigError("{}: {}: unknown key; {} takes {}", origin.name, key, parent->path,
                      expected_text(*parent));
  }
  if (!nearest.empty()) {
    throw ConfigError("{}: {}: unknown key; did you mean {}?", origin.name, key, nearest);
  }
  std::vector<std::string> siblings;
  const auto add = [&](const std::string& known) {
    if (parent_path(known) == parent_path(path)) siblings.emplace_back(last_part(known));
  };
  for (const ConfigSection& s : config_sections()) add(s.path);
  for (const ConfigField& f : config_fields()) add(f.path);
  if (siblings.empty()) throw ConfigError("{}: {}: unknown key", origin.name, key);
  throw ConfigError("{}: {}: unknown key; known here: {}", origin.name, key,
                    fmt::join(siblings, ", "));
}

/// Creates the optional section that contains a key.
void make_parents(Config& config, const std::string& path) {
  const ConfigSection* section = find_config_section(parent_path(path));
  if (section && section->emplace && !section->present(config)) section->emplace(config, true);
}

void apply_field(Config& config, const ConfigField& field, const Json& json, const Origin& origin) {
  std::optional<ConfigValue> value = accepted(field, json);
  if (!value && is_beyond_integers(field, json)) {
    throw ConfigError("{}: {}: expected an integer in {}..{}, without point or exponent, got {}",
                      origin.name, field.path, std::max(field.range.minimum, double(INT64_MIN)),
                      INT64_MAX, shown(json));
  }
  if (!value) {
    throw ConfigError("{}: {}: expected {}, got {}", origin.name, field.path, expected_text(field),
                      shown(json));
  }
  if (std::string* text = std::get_if<std::string>(&*value)) {
    if (is_relocated_path(field, *text)) *text = (origin.base / *text).lexically_normal().string();
  }
  make_parents(config, field.path);
  field.set(config, *value);
}

/// Restores the value of a key that is not given. untouched: the config before any key is applied.
void reset_field(Config& config, const ConfigField& field, Config untouched) {
  const ConfigSection* section = find_config_section(parent_path(field.path));
  if (section && section->emplace) {
    if (!section->present(config)) return;
    if (!section->present(untouched)) section->emplace(untouched, true);
  }
  field.set(config, field.get(untouched));
}

void apply(Config& config, const std::string& path, const Json& json, const Origin& origin);

void apply_members(Config& config, const std::string& path, const Json& json,
                   const Origin& origin) {
  for (const auto& [key, value] : json.items()) {
    if (path.empty() && key == "$schema" && value.is_string()) continue;  // for editors
    apply(config, path.empty() ? key : path + '.' + key, value, origin);
  }
}

/// The key of a section that was perhaps meant by a single word; "" if there is none.
std::string key_meant_by(const std::string& section, const std::string& word) {
  const bool is_weights = word.ends_with(".pt") || word.ends_with(".safetensors");
  for (const ConfigField& field : config_fields()) {
    if (parent_path(field.path) != section) continue;
    if (field.kind == ConfigKind::kGraph) return field.path;
    const bool is_file_of_weights = field.path == "model.weights";
    if (field.kind == ConfigKind::kPath && (is_weights || !is_file_of_weights)) return field.path;
  }
  return "";
}

void apply(Config& config, const std::string& path, const Json& json, const Origin& origin) {
  if (const ConfigField* field = find_config_field(path)) {
    apply_field(config, *field, json, origin);
    return;
  }
  const ConfigSection* section = find_config_section(path);
  if (!section) unknown_key(origin, path);
  if (json.is_null() && section->emplace) {
    section->emplace(config, false);
    return;
  }
  if (!json.is_object()) {
    const std::string key = json.is_string() ? key_meant_by(path, json.get<std::string>()) : "";
    throw ConfigError("{}: {}: expected an object{}, got {}{}", origin.name, path,
                      section->emplace ? " or null" : "", shown(json),
                      key.empty() ? "" : fmt::format("; did you mean {}?", key));
  }
  if (section->emplace && (section->replaced_whole || !section->present(config))) {
    section->emplace(config, true);
  }
  apply_members(config, path, json, origin);
}

/// Refuses a key that occurs twice in one object; JSON itself would keep one of them.
class TwiceGivenKeys {
 public:
  explicit TwiceGivenKeys(const std::string& source) : source_(source) {}

  bool operator()(int, Json::parse_event_t event, Json& parsed) {
    switch (event) {
      case Json::parse_event_t::object_start:
        open_.emplace_back();
        break;
      case Json::parse_event_t::object_end:
        open_.pop_back();
        break;
      case Json::parse_event_t::key:
        if (!open_.back().insert(parsed.get<std::string>()).second) {
          throw ConfigError("{}: the key {} is given twice in one object", source_, shown(parsed));
        }
        break;
      default:
        break;
    }
    return true;
  }

 private:
  std::string source_;
  std::vector<std::set<std::string>> open_;
};

/// A hint at what was perhaps given instead of a config.
std::string hint_about(const std::string& source, const std::string& text) {
  if (text.find('\0') != std::string::npos)
    return "; a config is JSON, but this file is not UTF-8 text";
  if (source.ends_with(".yaml") || source.ends_with(".yml")) {
    return "; a config is JSON, and names a data.yaml as \"data\": {\"yaml\": \"data.yaml\"}";
  }
  return "";
}

Json parse_text(const std::string& text, const std::string& source) {
  if (json_nests_beyond(text)) {
    throw ConfigError("{}: lists and objects are nested more than {} deep", source,
                      kMaxJsonNesting);
  }
  try {
    const Json json = Json::parse(text, TwiceGivenKeys(source), true, true);
    if (!json.is_object()) {
      throw ConfigError("{}: expected a JSON object, got {}", source, shown(json));
    }
    return json;
  } catch (const Json::exception& error) {
    throw ConfigError("{}: {}{}", source, json_problem(error, text), hint_about(source, text));
  }
}

struct Override {
  std::string path;
  Json value;
};

Override parse_override(const std::string& text, const Origin& origin) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    throw ConfigError("{}: expected key.path=value, got {}", origin.name, shown(Json(text)));
  }
  Override result{text.substr(0, equals), {}};
  const std::string raw = text.substr(equals + 1);
  if (json_nests_beyond(raw)) {
    throw ConfigError("{}: {}: lists and objects are nested more than {} deep", origin.name,
                      printable(result.path), kMaxJsonNesting);
  }
  Json value = Json::parse(raw, TwiceGivenKeys(origin.name), false);
  const ConfigField* field = find_config_field(result.path);
  const bool wants_text =
      field && (field->kind == ConfigKind::kString || field->kind == ConfigKind::kPath ||
                field->kind == ConfigKind::kGraph || field->kind == ConfigKind::kChoice);
  // run.name=7 is a name, although JSON would read a number; null is none.
  const bool is_none = field && value.is_null();
  if (value.is_discarded() || (wants_text && !value.is_string() && !is_none)) value = raw;
  result.value = std::move(value);
  return result;
}

void check_source(const std::optional<DataSourceConfig>& source, const std::string& path,
                  const std::string& name) {
  if (!source) return;
  const int kinds = int(!source->yolo.empty()) + int(!source->voc.empty()) +
                    int(!source->coco.empty()) + int(!source->yaml.empty());
  if (kinds != 1) {
    throw ConfigError("{}: {}: expected exactly one of yolo, voc, coco and yaml, got {}", name,
                      path, kinds == 0 ? "none" : "more");
  }
  const auto goes_with = [&](const char* key, bool given, const char* owner, const char* owners,
                             bool has_owner, const char* meaning) {
    if (given == has_owner) return;
    if (given) {
      throw ConfigError("{}: {}.{}: goes with {} only", name, path, key, owners);
    }
    throw ConfigError("{}: {}.{}: missing; {} needs {}", name, path, key, owner, meaning);
  };
  if (source->yaml.empty()) {
    goes_with("split", !source->split.empty(), "voc", "voc and yaml", !source->voc.empty(),
              "the name of a list in ImageSets/Main");
  } else if (source->split != "train" && source->split != "val" && source->split != "test") {
    throw ConfigError("{}: {}.split: expected train, val or test of the yaml, got {}", name, path,
                      source->split.empty() ? "nothing" : shown(Json(source->split)));
  }
  goes_with("images", !source->images.empty(), "coco", "coco", !source->coco.empty(),
            "the folder of the pictures");
}

/// Refuses keys that need labels for pictures that have none.
void check_without_labels(const Config& config, const std::string& name) {
  const auto refuse = [&](const char* key, const char* why) {
    throw ConfigError("{}: {}: {}, and without data.train there are none; leave it out", name, key,
                      why);
  };
  if (config.train.image_weights) refuse("train.image_weights", "counts labels");
  if (config.train.autoanchor == TrainConfig::Autoanchor::kAlways) {
    refuse("train.autoanchor", "fits anchors to labels");
  }
  const DistillConfig& d = config.distill;
  if (d.gain * (d.box + d.obj + d.cls) == 0) {
    throw ConfigError(
        "{}: distill: without data.train there is only the distillation loss, and its gains are 0; "
        "distill.gain and one of box, obj and cls must be above 0",
        name);
  }
}

/// Checks that involve several rows.
void check_whole(const Config& config, const std::string& name) {
  if (config.model.weights.empty() && config.model.graph.empty()) {
    throw ConfigError("{}: model: missing; give model.weights, model.graph or both", name);
  }
  if (config.teacher && config.teacher->weights.empty()) {
    throw ConfigError("{}: teacher.weights: missing; a teacher needs a checkpoint", name);
  }
  if (!config.data.train && !config.data.val && config.data.yaml.empty()) {
    if (config.data.unlabeled) {
      throw ConfigError(
          "{}: data: besides pictures without labels, labelled ones are needed to validate on and "
          "to know the classes; give data.val (`ydistill label` writes one)",
          name);
    }
    throw ConfigError("{}: data: missing; give data.train, data.val or both, or data.yaml", name);
  }
  check_source(config.data.train, "data.train", name);
  check_source(config.data.val, "data.val", name);
  if (config.data.unlabeled) {
    if (config.data.unlabeled->pictures.empty()) {
      throw ConfigError("{}: data.unlabeled.pictures: missing; name a folder or a list of pictures",
                        name);
    }
    if (!config.teacher) {
      throw ConfigError(
          "{}: data.unlabeled: only a teacher can teach from pictures without labels; give "
          "teacher.weights or leave data.unlabeled out",
          name);
    }
    if (has_train_source(config) && config.train.batch < 2) {
      throw ConfigError(
          "{}: data.unlabeled: a batch holds labelled and unlabelled pictures; give train.batch of "
          "at least 2, it is {}",
          name, config.train.batch);
    }
  }
  if (config.train.rect && config.train.image_weights) {
    throw ConfigError(
        "{}: train.rect: cannot be used with train.image_weights, whose batches hold pictures of "
        "all shapes; leave one out",
        name);
  }
  if (trains_without_labels(config)) check_without_labels(config, name);
  if (config.train.rect && config.data.unlabeled && has_train_source(config)) {
    throw ConfigError(
        "{}: train.rect: cannot be used with data.unlabeled, whose pictures are mixed into batches "
        "regardless of their shape; leave one out",
        name);
  }
  try {
    check_merges(config.data.merge);
  } catch (const ValueError& error) {
    throw ConfigError("{}: data.merge: {}", name, error.what());
  }
  std::set<std::string> seen;
  for (const std::string& class_name : config.data.names) {
    if (class_name.empty()) throw ConfigError("{}: data.names: a class name is empty", name);
    if (!seen.insert(class_name).second) {
      throw ConfigError("{}: data.names: {} is there twice", name, shown(Json(class_name)));
    }
  }
}

/// The defaults, given the values in `decided` of the keys that select them.
Config defaults(const Config& decided) {
  Config config;
  for (const ConfigField& field : config_fields()) {
    for (const ConfigAlternative& other : field.alternatives) {
      const ConfigValue value = find_config_field(other.key)->get(decided);
      if (std::get<std::string>(value) == other.value) field.set(config, other.then);
    }
  }
  return config;
}

DataSourceConfig source_of(const Config& config, const std::optional<DataSourceConfig>& source,
                           const char* split, const char* purpose) {
  if (source) return *source;
  if (config.data.yaml.empty()) {
    throw ConfigError("data.{}: missing; {} needs pictures", split, purpose);
  }
  DataSourceConfig result;
  result.yaml = config.data.yaml;
  result.split = split;
  return result;
}

}  // namespace

Config parse_config(const std::string& json_text, const fs::path& base_dir,
                    std::span<const std::string> overrides, const std::string& source_name) {
  const Origin file{source_name, fs::absolute(base_dir)};
  const Origin command_line{"command line", fs::current_path()};
  const Json json = parse_text(json_text, source_name);
  std::vector<Override> parsed;
  for (const std::string& text : overrides) parsed.push_back(parse_override(text, command_line));

  const auto laid_over = [&](const Config& untouched) {
    Config config = untouched;
    apply_members(config, "", json, file);
    for (const Override& o : parsed) {
      const ConfigField* field = o.value.is_null() ? find_config_field(o.path) : nullptr;
      if (field) {
        reset_field(config, *field, untouched);
      } else {
        apply(config, o.path, o.value, command_line);
      }
    }
    return config;
  };
  // Keys select which defaults hold: the values are applied once to read these keys, then again
  // over the right defaults.
  Config config = laid_over(defaults(laid_over(Config())));
  if (config.val.image_size == 0) config.val.image_size = config.train.image_size;
  check_whole(config, source_name);
  return config;
}

Config load_config(const fs::path& file, std::span<const std::string> overrides) {
  if (file.extension() == ".safetensors" || file.extension() == ".pt") {
    throw ConfigError("{}: weights, no config; a config names them as model.weights",
                      printable(file.string()));
  }
  return parse_config(read_text_file(file), fs::absolute(file).parent_path(), overrides,
                      printable(file.string()));
}

std::string to_json(const Config& config) {
  Json root = Json::object();
  for (const ConfigField& field : config_fields()) {
    const ConfigSection* section = find_config_section(parent_path(field.path));
    if (section && section->present && !section->present(config)) continue;
    const ConfigValue value = field.get(config);
    const std::string* text = std::get_if<std::string>(&value);
    if (text && text->empty()) continue;  // not given, and there is no default
    Json* node = &root;
    std::string_view rest = field.path;
    for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
      node = &(*node)[std::string(rest.substr(0, dot))];
      rest.remove_prefix(dot + 1);
    }
    (*node)[std::string(rest)] = json_of(value);
  }
  return root.dump(2, ' ', false, Json::error_handler_t::replace);
}

void check_is_text(const Config& config) {
  for (const ConfigField& field : config_fields()) {
    const ConfigSection* section = find_config_section(parent_path(field.path));
    if (section && section->present && !section->present(config)) continue;
    const ConfigValue value = field.get(config);
    const std::string* text = std::get_if<std::string>(&value);
    if (text && !is_utf8(*text)) {
      throw ConfigError(
          "{}: \"{}\" is not UTF-8, as the config that a run keeps must be; rename it", field.path,
          printable(*text));
    }
  }
}

DataSourceConfig train_source(const Config& config) {
  return source_of(config, config.data.train, "train", "training");
}

DataSourceConfig val_source(const Config& config) {
  return source_of(config, config.data.val, "val", "validation");
}

bool has_train_source(const Config& config) {
  return config.data.train.has_value() || !config.data.yaml.empty();
}

bool trains_without_labels(const Config& config) {
  return config.data.unlabeled && !has_train_source(config);
}

double feature_gain(const Config& config) {
  return config.distill.gain * config.distill.feature;
}

bool has_val_source(const Config& config) {
  return config.data.val.has_value() || !config.data.yaml.empty();
}

}  // namespace ydistill
