// SPDX-License-Identifier: MIT
#include <ydistill/data/data_yaml.h>

#include <yaml-cpp/depthguard.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

#include <ydistill/data/dataset.h>
#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

// A YAML file can repeat a long text by aliases (&a, *a); here each is a copy, so sizes are
// limited.
constexpr size_t kMaxNameBytes = 1000, kMaxPathBytes = 4096;

std::optional<int64_t> whole_number(const std::string& text) {
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return value;
}

std::string lower_case(std::string text) {
  for (char& c : text) c = c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c;
  return text;
}

class YamlFile {
 public:
  explicit YamlFile(const fs::path& file) : file_(file) {
    const std::string text = reading::read_text(file);
    try {
      root_ = YAML::Load(text);
    } catch (const YAML::DeepRecursion& problem) {  // its own text is only "bad file"
      fail(problem.mark, "malformed YAML: nested too deeply");
    } catch (const YAML::Exception& problem) {
      fail(problem.mark, "malformed YAML: " + printable(problem.msg, 200));
    }
    if (!root_.IsMap()) fail(root_.Mark(), "not a data.yaml: expected keys with values");
    std::set<std::string> seen;
    for (const auto& entry : root_) {
      if (!entry.first.IsScalar()) fail(entry.first.Mark(), "a key that is no word");
      const std::string& key = entry.first.Scalar();
      if (!seen.insert(key).second) {
        fail(entry.first.Mark(), fmt::format("the key \"{}\" is there twice", printable(key, 40)));
      }
      if (key == "<<") fail(entry.first.Mark(), "merge keys (<<) are not read; write the keys out");
      for (const char* const known : {"path", "train", "val", "test", "names", "nc"}) {
        if (key == known || lower_case(key) != known) continue;
        fail(entry.first.Mark(), fmt::format("there is no key \"{}\"; did you mean \"{}\"?",
                                             printable(key, 40), known));
      }
    }
  }

  /// Paths as written; empty if there is no such split.
  std::vector<std::string> entries(const std::string& split) const {
    const YAML::Node node = root_[split];
    if (!node || node.IsNull()) return {};
    std::vector<std::string> found;
    const auto add = [&](const YAML::Node& item) {
      if (!item.IsScalar() || item.Scalar().empty()) {
        fail(item.Mark(), split + ": expected a folder, a list file, or a list of those");
      }
      if (item.Scalar().size() > kMaxPathBytes) {
        fail(item.Mark(), fmt::format("{}: a path of {} bytes, at most {} are taken", split,
                                      item.Scalar().size(), kMaxPathBytes));
      }
      found.push_back(item.Scalar());
    };
    if (node.IsSequence()) {
      for (const auto& item : node) add(item);
      if (found.empty()) fail(node.Mark(), split + ": an empty list");
    } else {
      add(node);
    }
    return found;
  }

  std::vector<std::string> names() const {
    const YAML::Node node = root_["names"];
    const std::optional<int64_t> count = num_classes();
    std::vector<std::string> names;
    if (!node || node.IsNull()) {
      if (!count) fail(root_.Mark(), "neither names nor nc is given");
      for (int64_t i = 0; i < *count; ++i) names.push_back(fmt::format("class{}", i));
      return names;
    }
    if (node.IsSequence()) {
      if (int64_t(node.size()) > kMaxClasses) {
        fail(node.Mark(),
             fmt::format("names: {} of them, at most {} are taken", node.size(), kMaxClasses));
      }
      for (const auto& item : node) names.push_back(name_of(item));
    } else if (node.IsMap()) {
      names = names_of_map(node);
    } else {
      fail(node.Mark(), "names: expected a list, or a map of ids and names");
    }
    if (names.empty()) fail(node.Mark(), "names: there is none");
    check_names(node, names);
    if (count && *count != int64_t(names.size())) {
      fail(root_["nc"].Mark(),
           fmt::format("nc is {}, but there are {} names", *count, names.size()));
    }
    return names;
  }

  /// The value of a scalar key; "" if it is missing.
  std::string word(const char* key) const {
    const YAML::Node node = root_[key];
    if (!node || node.IsNull()) return "";
    if (!node.IsScalar()) fail(node.Mark(), fmt::format("{}: expected one word", key));
    return node.Scalar();
  }

  bool has(const char* key) const { return root_[key] && !root_[key].IsNull(); }
  YAML::Mark mark(const std::string& key) const {
    return root_[key] ? root_[key].Mark() : root_.Mark();
  }

  std::string place(const YAML::Mark& mark) const {
    const std::string name = printable(file_.string());
    return mark.is_null() ? name : fmt::format("{}:{}", name, mark.line + 1);
  }
  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& what) const {
    throw FileError("{}: {}", place(mark), what);
  }

 private:
  std::string name_of(const YAML::Node& node) const {
    if (!node.IsScalar() || node.Scalar().empty()) fail(node.Mark(), "names: a name is no word");
    if (node.Scalar().size() > kMaxNameBytes) {
      fail(node.Mark(), fmt::format("names: a name of {} bytes, at most {} are taken",
                                    node.Scalar().size(), kMaxNameBytes));
    }
    return node.Scalar();
  }

  std::vector<std::string> names_of_map(const YAML::Node& node) const {
    std::map<int64_t, std::string> by_id;
    for (const auto& entry : node) {
      const std::string key = entry.first.IsScalar() ? entry.first.Scalar() : "";
      const std::optional<int64_t> id = whole_number(key);
      if (!id || *id < 0 || *id >= kMaxClasses) {
        fail(entry.first.Mark(),
             fmt::format("names: \"{}\" is not a class id, expected 0, 1, 2, ...",
                         printable(key, 40)));
      }
      if (!by_id.emplace(*id, name_of(entry.second)).second) {
        fail(entry.first.Mark(), fmt::format("names: the id {} is there twice", *id));
      }
    }
    std::vector<std::string> names;
    for (const auto& [id, name] : by_id) {
      if (id != int64_t(names.size())) {
        fail(node.Mark(), fmt::format("names: there is an id {} but none {}; ids go from 0 to n-1",
                                      id, names.size()));
      }
      names.push_back(name);
    }
    return names;
  }

  void check_names(const YAML::Node& node, const std::vector<std::string>& names) const {
    std::set<std::string> seen;
    for (const std::string& name : names) {
      if (!seen.insert(name).second) {
        fail(node.Mark(), fmt::format("names: \"{}\" is there twice", printable(name, 40)));
      }
    }
  }

  std::optional<int64_t> num_classes() const {
    if (!has("nc")) return std::nullopt;
    const std::optional<int64_t> count = whole_number(word("nc"));
    if (!count || *count < 1 || *count > kMaxClasses) {
      fail(root_["nc"].Mark(), fmt::format("nc: expected a number from 1 to {}, got \"{}\"",
                                           kMaxClasses, printable(word("nc"), 40)));
    }
    return count;
  }

  const fs::path& file_;
  YAML::Node root_;
};

/// Candidate locations of an entry, in the order they are tried.
std::vector<fs::path> candidates(const fs::path& folder, const std::string& root,
                                 const std::string& entry) {
  std::vector<fs::path> paths;
  const auto add = [&](const std::string& name) {
    for (const fs::path& base : {folder, folder.parent_path()}) {
      const fs::path path = (base / root / name).lexically_normal();
      if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
    }
  };
  add(entry);
  if (entry.starts_with("../")) add(entry.substr(3));
  return paths;
}

fs::path find_entry(const YamlFile& yaml, const fs::path& file, const std::string& split,
                    const std::string& entry, std::vector<std::string>& notes) {
  const fs::path folder = fs::absolute(file).lexically_normal().parent_path();
  const std::vector<fs::path> paths = candidates(folder, yaml.word("path"), entry);
  for (const fs::path& path : paths) {
    std::error_code error;
    if (!fs::exists(path, error)) continue;
    if (path != paths.front()) {
      notes.push_back(fmt::format("{}: {}: {} is not there, {} is taken",
                                  yaml.place(yaml.mark(split)), split,
                                  printable(paths.front().string()), printable(path.string())));
    }
    return path;
  }
  std::string tried;
  for (const fs::path& path : paths) {
    tried += (tried.empty() ? "" : ", ") + printable(path.string());
  }
  yaml.fail(
      yaml.mark(split),
      fmt::format("{}: there is no {}{}; tried {}", split, printable(entry),
                  yaml.has("download") ? " (the file's `download` is not run: fetch it first)" : "",
                  tried));
}

}  // namespace

DataYaml read_data_yaml(const fs::path& file, const std::string& split) {
  if (split != "train" && split != "val" && split != "test") {
    throw FileError("{}: split \"{}\", one of train, val, test wanted", printable(file.string()),
                    printable(split, 40));
  }
  const YamlFile yaml(file);
  DataYaml result;
  result.names = yaml.names();
  const std::vector<std::string> entries = yaml.entries(split);
  if (entries.empty()) {
    yaml.fail(yaml.mark(split),
              fmt::format("no {} pictures: the key \"{}\" is missing", split, split));
  }
  for (const std::string& entry : entries) {
    result.paths.push_back(find_entry(yaml, file, split, entry, result.notes));
  }
  if (yaml.has("download")) {
    result.notes.push_back(
        fmt::format("{}: `download` is never run", yaml.place(yaml.mark("download"))));
  }
  return result;
}

std::vector<std::string> data_yaml_splits(const fs::path& file) {
  const YamlFile yaml(file);
  std::vector<std::string> splits;
  for (const char* split : {"train", "val", "test"}) {
    if (!yaml.entries(split).empty()) splits.push_back(split);
  }
  return splits;
}

}  // namespace ydistill
