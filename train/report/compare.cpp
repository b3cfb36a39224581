// SPDX-License-Identifier: MIT
#include <ydistill/train/report/compare.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_nesting.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/train/report/panels.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

constexpr const char* kShown[] = {"metrics/precision", "metrics/recall", "metrics/mAP_0.5",
                                  "metrics/mAP_0.5:0.95"};

std::optional<std::string> read_if_there(const fs::path& path) {
  std::error_code error;
  if (!fs::exists(path, error)) return std::nullopt;
  return read_text_file(path);
}

void flatten(const json& value, const std::string& path, std::map<std::string, std::string>& to) {
  if (value.is_object() && !value.empty()) {
    for (const auto& [key, child] : value.items()) {
      flatten(child, path.empty() ? key : path + "." + key, to);
    }
  } else {
    to[path] = value.is_string() ? value.get<std::string>() : value.dump();
  }
}

/// Whether a setting may differ within a group.
bool is_free(const std::string& key) {
  return key == "train.seed" || key.starts_with("run.");
}

/// Reads what only report.json contains; runs of earlier releases do not have it.
void read_report(ComparedRun& run) {
  const fs::path path = run.folder / "report.json";
  RunRecord record;
  try {
    const auto text = read_if_there(path);
    if (!text) return;
    record = parse_record(*text, path.string());
  } catch (const FileError& problem) {
    run.problem = problem.what();
    return;
  }
  run.finished = record.finished;
  if (record.teacher && record.teacher->validation) {
    run.teacher_map = record.teacher->validation->metrics.map;
  }
  // The speed of an epoch that was stopped during its validation is not known.
  double known = 0;
  for (const EpochSpeed& s : record.speed) {
    run.images_per_second += s.images_per_second;
    known += s.images_per_second > 0 ? 1 : 0;
  }
  if (known > 0) run.images_per_second /= known;
}

std::vector<std::string> differences(const std::vector<ComparedRun>& runs,
                                     const std::vector<RunGroup>& groups) {
  std::set<std::string> keys, differing;
  for (const ComparedRun& run : runs) {
    for (const auto& [key, value] : run.settings) keys.insert(key);
  }
  const auto setting = [&runs](const RunGroup& group, const std::string& key) {
    const auto& settings = runs[group.runs.front()].settings;
    const auto found = settings.find(key);
    return found == settings.end() ? std::string() : found->second;
  };
  for (const std::string& key : keys) {
    // Where there is no teacher, its settings have no effect.
    const bool is_of_teacher = key.starts_with("distill.") || key.starts_with("teacher.");
    std::set<std::string> values;
    for (const RunGroup& group : groups) {
      const bool counts = !is_of_teacher || setting(group, "teacher") != "none";
      if (!is_free(key) && counts) values.insert(setting(group, key));
    }
    if (values.size() > 1) differing.insert(key);
  }
  if (differing.contains("teacher")) differing.insert({"teacher.weights", "distill.loss"});
  return {differing.begin(), differing.end()};
}

/// The columns of all runs of a group, in the order in which the runs have them.
std::vector<std::string> columns_of(const std::vector<ComparedRun>& runs, const RunGroup& group) {
  std::vector<std::string> columns;
  for (const size_t r : group.runs) {
    for (const std::string& column : runs[r].results.columns) {
      if (std::find(columns.begin(), columns.end(), column) == columns.end()) {
        columns.push_back(column);
      }
    }
  }
  return columns;
}

/// Shortens an absolute path to its last two components, so that the difference is visible.
std::string short_value(const std::string& value) {
  const fs::path path(value);
  if (!path.is_absolute()) return value;
  return (path.parent_path().filename() / path.filename()).string();
}

json json_of(const std::vector<std::string>& columns, const std::vector<double>& row) {
  json object = json::object();
  for (size_t i = 0; i < columns.size(); ++i) object[columns[i]] = row[i];
  return object;
}

}  // namespace

Spread spread_of(std::span<const double> values) {
  Spread s;
  s.n = int64_t(values.size());
  for (const double v : values) s.mean += v / double(s.n);
  if (s.n < 2) return s;
  double sum = 0;
  for (const double v : values) sum += (v - s.mean) * (v - s.mean);
  s.deviation = std::sqrt(sum / double(s.n - 1));
  return s;
}

const Spread* RunGroup::find(const std::string& column) const {
  for (const auto& [name, spread] : at_best) {
    if (name == column) return &spread;
  }
  return nullptr;
}

namespace {

/// throws FileError if the folder does not contain a run.
void check_is_run(const fs::path& folder) {
  std::error_code error;
  if (!fs::is_directory(folder, error)) {
    throw FileError("{}: {}; expected the folder of a run", folder.string(),
                    fs::exists(folder, error) ? "a file" : "no such folder");
  }
  if (fs::exists(folder / "evolve.csv", error)) {
    throw FileError("{}: the folder of a search (evolve); its runs are {}/gen*", folder.string(),
                    folder.string());
  }
  if (!fs::exists(folder / "config.json", error)) {
    throw FileError("{}: not the folder of a run, there is no config.json in it", folder.string());
  }
}

}  // namespace

ComparedRun read_compared_run(const fs::path& folder) {
  check_is_run(folder);
  ComparedRun run;
  run.folder = folder;
  run.name = fs::absolute(folder / "").lexically_normal().parent_path().filename().string();
  const std::string config = read_text_file(folder / "config.json");
  json document;
  try {
    if (!json_nests_beyond(config)) document = json::parse(config);
  } catch (const json::exception& error) {
    throw FileError("{}: {}", (folder / "config.json").string(), json_problem(error, config));
  }
  if (!document.is_object()) {
    throw FileError("{}: is no JSON object", (folder / "config.json").string());
  }
  flatten(document, "", run.settings);
  if (!document.contains("teacher") || document["teacher"].is_null()) {
    std::erase_if(run.settings, [](const auto& entry) {
      return entry.first.starts_with("distill.") || entry.first.starts_with("teacher");
    });
    run.settings["teacher"] = "none";
  }
  const json train = document.value("train", json::object());
  if (!train.is_object() || !train.contains("epochs") || !train["epochs"].is_number_integer()) {
    throw FileError("{}: not the config of a run, there is no train.epochs in it",
                    (folder / "config.json").string());
  }
  run.epochs_planned = train["epochs"].get<int64_t>();
  if (train.contains("seed") && train["seed"].is_number_integer()) {
    run.seed = train["seed"].get<int64_t>();
  }
  // Before the end of the first epoch there are no results.
  if (const auto results = read_if_there(folder / "results.csv")) {
    run.results = parse_results(*results, (folder / "results.csv").string());
  }
  run.best = run.results.best_row();
  run.finished = int64_t(run.results.rows.size()) >= run.epochs_planned;
  read_report(run);
  return run;
}

Comparison compare_runs(std::vector<ComparedRun> runs) {
  Comparison comparison;
  comparison.runs = std::move(runs);
  std::vector<std::map<std::string, std::string>> of_groups;
  for (size_t i = 0; i < comparison.runs.size(); ++i) {
    auto settings = comparison.runs[i].settings;
    std::erase_if(settings, [](const auto& entry) { return is_free(entry.first); });
    const auto same = std::find(of_groups.begin(), of_groups.end(), settings);
    const size_t group = size_t(same - of_groups.begin());
    if (same == of_groups.end()) {
      of_groups.push_back(std::move(settings));
      comparison.groups.emplace_back();
    }
    comparison.groups[group].runs.push_back(i);
  }
  const std::vector<std::string> keys = differences(comparison.runs, comparison.groups);
  for (size_t g = 0; g < comparison.groups.size(); ++g) {
    RunGroup& group = comparison.groups[g];
    for (const std::string& key : keys) {
      const auto found = of_groups[g].find(key);
      if (found == of_groups[g].end()) continue;
      group.differs.push_back(key + "=" + short_value(found->second));
    }
    for (const std::string& column : columns_of(comparison.runs, group)) {
      std::vector<double> values;
      for (const size_t r : group.runs) {
        const ComparedRun& run = comparison.runs[r];
        const auto index = run.results.find(column);
        if (run.best && index) values.push_back(run.results.rows[*run.best][*index]);
      }
      if (!values.empty()) group.at_best.emplace_back(column, spread_of(values));
    }
  }
  return comparison;
}

Comparison compare_folders(std::span<const fs::path> folders) {
  // Of several, files are left out: compare * meets the page that it wrote itself.
  const auto is_left_out = [&](const fs::path& path) {
    std::error_code error;
    return folders.size() > 1 && fs::is_regular_file(path, error);
  };
  for (const fs::path& folder : folders) {
    if (!is_left_out(folder)) check_is_run(folder);
  }
  std::vector<ComparedRun> runs;
  std::vector<std::string> notes;
  std::set<fs::path> seen;
  for (const fs::path& folder : folders) {
    if (is_left_out(folder)) {
      notes.push_back(fmt::format("{}: a file, no run; it is left out", folder.string()));
      continue;
    }
    std::error_code error;
    const fs::path real = fs::canonical(folder, error);
    if (!seen.insert(error ? folder : real).second) {
      notes.push_back(fmt::format("{}: is given twice and counts once", folder.string()));
      continue;
    }
    try {
      runs.push_back(read_compared_run(folder));
      if (!runs.back().problem.empty()) notes.push_back(runs.back().problem);
    } catch (const FileError& problem) {
      notes.push_back(fmt::format("{} ({} is left out)", problem.what(), folder.string()));
    }
  }
  if (runs.empty()) {
    throw FileError("none of the {} runs can be read, the first: {}", folders.size(),
                    notes.empty() ? "" : notes.front());
  }
  Comparison comparison = compare_runs(std::move(runs));
  comparison.notes = std::move(notes);
  return comparison;
}

std::string to_json(const Comparison& comparison, bool with_results) {
  json runs = json::array(), groups = json::array();
  for (const ComparedRun& run : comparison.runs) {
    json entry{{"name", run.name},
               {"folder", run.folder.string()},
               {"seed", run.seed},
               {"finished", run.finished},
               {"epochs", run.results.rows.size()},
               {"epochs_planned", run.epochs_planned},
               {"best_epoch", run.best ? json(run.results.epochs[*run.best]) : json(nullptr)},
               {"at_best", run.best ? json_of(run.results.columns, run.results.rows[*run.best])
                                    : json(nullptr)},
               {"teacher_map", run.teacher_map ? json(*run.teacher_map) : json(nullptr)},
               {"images_per_second",
                run.images_per_second > 0 ? json(run.images_per_second) : json(nullptr)}};
    if (with_results) {
      entry["results"] = {{"columns", run.results.columns},
                          {"epochs", run.results.epochs},
                          {"rows", run.results.rows}};
    }
    runs.push_back(std::move(entry));
  }
  for (const RunGroup& group : comparison.groups) {
    json spreads = json::object();
    for (const auto& [column, s] : group.at_best) {
      spreads[column] = {
          {"n", s.n}, {"mean", s.mean}, {"deviation", s.n > 1 ? json(s.deviation) : json(nullptr)}};
    }
    groups.push_back({{"runs", group.runs}, {"differs", group.differs}, {"at_best", spreads}});
  }
  return json{{"runs", runs}, {"groups", groups}, {"notes", comparison.notes}}.dump(
      with_results ? -1 : 2, ' ', false, json::error_handler_t::replace);
}

std::string as_text(const Comparison& comparison) {
  size_t longest = 5;
  for (const ComparedRun& run : comparison.runs) longest = std::max(longest, run.name.size() + 2);
  std::string text =
      fmt::format("{:<{}} {:>5} {:>9} {:>5}", "run", longest, "seed", "epochs", "best");
  for (const char* column : kShown) text += fmt::format(" {:>17}", title_of_column(column));
  text += "\n";
  for (const RunGroup& group : comparison.groups) {
    if (!group.differs.empty()) text += fmt::format("{}\n", fmt::join(group.differs, "  "));
    for (const size_t r : group.runs) {
      const ComparedRun& run = comparison.runs[r];
      const std::string epochs = fmt::format("{}/{}{}", run.results.rows.size(), run.epochs_planned,
                                             run.finished ? "" : "*");
      text += fmt::format("{:<{}} {:>5} {:>9} {:>5}", "  " + run.name, longest, run.seed, epochs,
                          run.best ? fmt::format("{}", run.results.epochs[*run.best] + 1) : "-");
      for (const char* column : kShown) {
        const auto index = run.results.find(column);
        text += run.best && index ? fmt::format(" {:>17.4f}", run.results.rows[*run.best][*index])
                                  : fmt::format(" {:>17}", "-");
      }
      text += "\n";
    }
    const Spread* any = group.find(kShown[0]);
    if (!any || any->n < 2) continue;
    text += fmt::format("{:<{}} {:>5} {:>9} {:>5}", "  mean", longest, fmt::format("n={}", any->n),
                        "", "");
    for (const char* column : kShown) {
      const Spread* s = group.find(column);
      text +=
          fmt::format(" {:>17}", s ? fmt::format("{:.4f} +- {:.4f}", s->mean, s->deviation) : "-");
    }
    text += "\n";
  }
  const bool unfinished = std::any_of(comparison.runs.begin(), comparison.runs.end(),
                                      [](const ComparedRun& run) { return !run.finished; });
  text += "Numbers are of the best epoch of each run; +- is the sample standard deviation.\n";
  if (unfinished) text += "* not finished\n";
  return text;
}

}  // namespace ydistill
