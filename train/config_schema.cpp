// SPDX-License-Identifier: MIT
// The JSON Schema and the reference page, generated from the table of keys.

#include <ydistill/train/config_schema.h>

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/train/config_table.h>
#include <ydistill/train/config_value_json.h>

namespace ydistill {

namespace {

using Json = nlohmann::ordered_json;

/// Config{} with every optional section present, so that every row can be read.
Config complete_defaults() {
  Config config;
  for (const ConfigSection& section : config_sections()) {
    if (section.emplace) section.emplace(config, true);
  }
  return config;
}

/// Whether the row has a default of its own, not taken from another key and not empty.
bool has_default(const ConfigField& field, const ConfigValue& value) {
  const std::string* text = std::get_if<std::string>(&value);
  return field.default_text.empty() && !(text && text->empty());
}

Json range_json(const ConfigField& field, const char* type) {
  const ConfigRange& r = field.range;
  Json node{{"type", type}};
  if (std::isfinite(r.minimum)) {
    node[r.minimum_excluded ? "exclusiveMinimum" : "minimum"] = json_of(r.minimum);
  }
  if (std::isfinite(r.maximum)) {
    node[r.maximum_excluded ? "exclusiveMaximum" : "maximum"] = json_of(r.maximum);
  }
  if (r.multiple_of > 1) node["multipleOf"] = r.multiple_of;
  return node;
}

Json field_json(const ConfigField& field, const ConfigValue& default_value) {
  Json node;
  switch (field.kind) {
    case ConfigKind::kBoolean:
      node = {{"type", "boolean"}};
      break;
    case ConfigKind::kInteger:
      node = range_json(field, "integer");
      break;
    case ConfigKind::kNumber:
      node = range_json(field, "number");
      break;
    case ConfigKind::kString:
    case ConfigKind::kPath:
    case ConfigKind::kGraph:
      node = {{"type", "string"}};
      if (field.pattern.empty()) {
        node["minLength"] = 1;
      } else {
        node["pattern"] = field.pattern;
      }
      break;
    case ConfigKind::kChoice:
      node["enum"] = field.choices;
      break;
    case ConfigKind::kNames:
      node = {{"type", "array"}, {"items", {{"type", "string"}}}};
      if (!field.may_be_empty) {
        node["items"]["minLength"] = 1;
        node["uniqueItems"] = true;
      }
      break;
    case ConfigKind::kMerges:
      node = {{"type", "object"},
              {"propertyNames", {{"minLength", 1}}},
              {"additionalProperties",
               {{"type", "array"},
                {"minItems", 1},
                {"items", {{"type", "string"}, {"minLength", 1}}}}}};
      break;
  }
  node["description"] = field.description;
  if (has_default(field, default_value)) node["default"] = json_of(default_value);
  return node;
}

Json required(std::initializer_list<const char*> keys) {
  return {{"required", Json(keys)}};
}

/// A choice between several sets of keys: `word` is anyOf or oneOf.
Json alternatives(const char* word, std::initializer_list<Json> sets) {
  Json node = Json::object();
  node[word] = Json::array();
  for (const Json& set : sets) node[word].push_back(set);
  return node;
}

/// The requirements of a section beyond those of its keys.
Json section_rules(const std::string& path) {
  if (path == "model") return alternatives("anyOf", {required({"weights"}), required({"graph"})});
  if (path == "data")
    return alternatives("anyOf", {required({"train"}), required({"val"}), required({"yaml"})});
  if (path == "teacher") return required({"weights"});
  if (path == "data.train" || path == "data.val") {
    Json rules = alternatives(
        "oneOf", {required({"yolo"}), required({"voc"}), required({"coco"}), required({"yaml"})});
    rules["dependentRequired"] = {
        {"voc", {"split"}}, {"yaml", {"split"}}, {"coco", {"images"}}, {"images", {"coco"}}};
    rules["dependentSchemas"] = {
        {"split", alternatives("anyOf", {required({"voc"}), required({"yaml"})})}};
    return rules;
  }
  return Json::object();
}

Json object_json(const std::string& path, const std::string& description, const Config& config) {
  Json properties = Json::object();
  if (path.empty()) {
    properties["$schema"] = {{"type", "string"}, {"description", "where this schema lies"}};
  }
  for (const ConfigSection& section : config_sections()) {
    if (parent_path(section.path) != path) continue;
    properties[std::string(last_part(section.path))] =
        object_json(section.path, section.description, config);
  }
  for (const ConfigField& field : config_fields()) {
    if (parent_path(field.path) != path) continue;
    properties[std::string(last_part(field.path))] = field_json(field, field.get(config));
  }
  const ConfigSection* section = find_config_section(path);
  Json node;
  node["type"] = section && section->emplace ? Json({"object", "null"}) : Json("object");
  node["description"] = description;
  node["properties"] = properties;
  node["additionalProperties"] = false;
  node.update(section_rules(path));
  return node;
}

std::string default_cell(const ConfigField& field, const ConfigValue& value) {
  if (!field.default_text.empty()) return field.default_text;
  if (!has_default(field, value)) return "";
  std::string cell = fmt::format("`{}`", json_of(value).dump());
  std::string others;
  for (const ConfigAlternative& other : field.alternatives) {
    others += fmt::format("{}{}: `{}`", others.empty() ? "" : ", ", other.value,
                          json_of(other.then).dump());
  }
  return others.empty() ? cell : fmt::format("{} ({})", cell, others);
}

std::string table_head() {
  return "| key | value | default | meaning |\n| --- | --- | --- | --- |\n";
}

std::string table_row(const ConfigField& field, const Config& config) {
  return fmt::format("| `{}` | {} | {} | {} |\n", field.path, expected_text(field),
                     default_cell(field, field.get(config)), field.description);
}

}  // namespace

std::string config_schema_json() {
  const Config config = complete_defaults();
  Json root{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
            {"title", "ydistill config"}};
  root.update(object_json("", "Settings of `ydistill train` and `ydistill val`.", config));
  root["required"] = {"model", "data"};
  return root.dump(2) + "\n";
}

std::string config_reference_markdown() {
  const Config config = complete_defaults();
  std::string text =
      "# Config reference\n\n"
      "Written by the program from its own table of keys. A config file is JSON with these keys; "
      "comments are\nallowed. Only `model` and `data` are required. On the command line "
      "`key.path=value` overrides the file, and\n`key.path=null` resets the key: "
      "`teacher=null`, "
      "`model.graph=null`. Paths in the file start at the file's folder, those\nof overrides and "
      "`run.dir` at the working directory. Brackets hold the default with `train.compat` v5, "
      "`distill.loss` kl or\nbce, or `distill.defaults` original.\n\n"
      "## Top level\n\n";
  text += table_head();
  for (const ConfigField& field : config_fields()) {
    if (parent_path(field.path).empty()) text += table_row(field, config);
  }
  for (const ConfigSection& section : config_sections()) {
    text += fmt::format("\n## {}\n\n{}\n\n", section.path, section.description);
    std::string rows;
    for (const ConfigField& field : config_fields()) {
      if (parent_path(field.path) == section.path) rows += table_row(field, config);
    }
    if (!rows.empty()) text += table_head() + rows;
  }
  return text;
}

}  // namespace ydistill
