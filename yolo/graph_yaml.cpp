// SPDX-License-Identifier: MIT
#include <ydistill/yolo/graph_yaml.h>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using nlohmann::json;

// A YAML file can repeat nodes by aliases (&a, *a), so the size is limited.
constexpr int64_t kMaxNodes = 100000;
constexpr size_t kMaxBytes = 1 << 20;

[[noreturn]] void fail(const YAML::Mark& mark, const std::string& reason) {
  throw ValueError("graph: line {}: {}", mark.line + 1, reason);
}

template <class T>
bool is_number(const std::string& text, T& value) {
  const char* const end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stopped == end;
}

json scalar(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (text == "None") return nullptr;
  if (node.Tag() == "!") return text;  // in quotes
  if (text == "true" || text == "True") return true;
  if (text == "false" || text == "False") return false;
  int64_t whole = 0;
  if (is_number(text, whole)) return whole;
  double number = 0;
  if (is_number(text, number) && std::isfinite(number)) return number;
  return text;
}

class Converter {
 public:
  /// A node may contain itself (&a [*a]).
  json convert(const YAML::Node& node, int depth = 0) {
    if (depth > int(kMaxJsonNesting)) fail(node.Mark(), "nested too deeply");
    if (++nodes_ > kMaxNodes) fail(node.Mark(), "more than 100000 values");
    if (node.IsScalar()) count(node);
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return scalar(node);
      case YAML::NodeType::Sequence: {
        json list = json::array();
        for (const YAML::Node& item : node) list.push_back(convert(item, depth + 1));
        return list;
      }
      case YAML::NodeType::Map: {
        json map = json::object();
        for (const auto& entry : node) {
          const YAML::Node& key = entry.first;
          if (!key.IsScalar()) fail(key.Mark(), "a key that is no word");
          count(key);
          if (map.contains(key.Scalar())) {
            fail(key.Mark(),
                 fmt::format("the key \"{}\" is there twice", printable(key.Scalar(), 40)));
          }
          map[key.Scalar()] = convert(entry.second, depth + 1);
        }
        return map;
      }
      case YAML::NodeType::Null:
      case YAML::NodeType::Undefined:
        return nullptr;
    }
    return nullptr;
  }

 private:
  void count(const YAML::Node& word) {
    bytes_ += word.Scalar().size();
    if (bytes_ > kMaxBytes) fail(word.Mark(), "more than a megabyte of words");
  }

  int64_t nodes_ = 0;
  size_t bytes_ = 0;
};

}  // namespace

std::string graph_json_of_yaml(const std::string& text) {
  YAML::Node root;
  try {
    root = YAML::Load(text);
  } catch (const YAML::DeepRecursion& problem) {  // its own text is only "bad file"
    fail(problem.mark, "malformed YAML: nested too deeply");
  } catch (const YAML::Exception& problem) {
    fail(problem.mark, "malformed YAML: " + printable(problem.msg, 200));
  }
  if (!root.IsMap()) fail(root.Mark(), "keys with values wanted: nc, anchors, backbone, head");
  return Converter().convert(root).dump(-1, ' ', false, json::error_handler_t::replace);
}

}  // namespace ydistill
