// SPDX-License-Identifier: MIT
#include <ydistill/train/config_schema.h>

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <ydistill/train/config_table.h>

#include "support/catch.h"

using namespace ydistill;
using Json = nlohmann::json;

namespace {

/// The schema's node of a key path.
const Json& node(const Json& schema, const std::string& path) {
  const Json* at = &schema;
  std::string rest = path;
  while (!rest.empty()) {
    const size_t dot = rest.find('.');
    at = &at->at("properties").at(rest.substr(0, dot));
    rest = dot == std::string::npos ? "" : rest.substr(dot + 1);
  }
  return *at;
}

}  // namespace

TEST_CASE("config schema: is json with every key and closed objects") {
  const Json schema = Json::parse(config_schema_json());
  CHECK(schema.at("$schema") == "https://json-schema.org/draft/2020-12/schema");
  CHECK(schema.at("required") == Json({"model", "data"}));
  for (const ConfigField& field : config_fields()) {
    INFO(field.path);
    CHECK(node(schema, field.path).at("description") == field.description);
  }
  for (const ConfigSection& section : config_sections()) {
    INFO(section.path);
    CHECK(node(schema, section.path).at("additionalProperties") == false);
  }
}

TEST_CASE("config schema: tells types and ranges and defaults") {
  const Json schema = Json::parse(config_schema_json());
  CHECK(node(schema, "train.epochs").at("type") == "integer");
  CHECK(node(schema, "train.epochs").at("minimum") == 1);
  CHECK(node(schema, "train.epochs").at("default") == 50);
  CHECK(node(schema, "train.lr0").at("exclusiveMinimum") == 0);
  CHECK(node(schema, "train.image_size").at("multipleOf") == 32);
  CHECK(node(schema, "train.schedule").at("enum") == Json({"linear", "cosine"}));
  CHECK(node(schema, "data.names").at("items").at("type") == "string");
  CHECK(node(schema, "data.names").at("uniqueItems") == true);
  CHECK(node(schema, "data.names").at("items").at("minLength") == 1);
  // "" stands for a class that the teacher does not know, of which there may be several.
  CHECK_FALSE(node(schema, "teacher.classes").contains("uniqueItems"));
  CHECK_FALSE(node(schema, "teacher.classes").at("items").contains("minLength"));
  CHECK(node(schema, "teacher").at("required") == Json::array({"weights"}));
  CHECK(node(schema, "teacher").at("type") == Json({"object", "null"}));
  CHECK(node(schema, "data.train").at("oneOf").size() == 4);
  CHECK(node(schema, "data.train").at("dependentRequired").at("voc") == Json::array({"split"}));
  CHECK_FALSE(node(schema, "model.weights").contains("default"));
  CHECK_FALSE(node(schema, "val.image_size").contains("default"));
}

TEST_CASE("config reference: one row a key with its v5 default") {
  const std::string text = config_reference_markdown();
  for (const ConfigField& field : config_fields()) {
    INFO(field.path);
    CHECK(text.find(fmt::format("| `{}` |", field.path)) != std::string::npos);
  }
  CHECK(text.find("| `train.clip_norm` | a number >= 0 | `10` (v5: `0`) |") != std::string::npos);
  CHECK(text.find("| `val.image_size` | an integer in 32..8192, a multiple of 32 | "
                  "train.image_size |") != std::string::npos);
}
