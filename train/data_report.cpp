// SPDX-License-Identifier: MIT
#include <ydistill/train/data_report.h>

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include <ydistill/data/data_yaml.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/train/data_sources.h>

namespace ydistill {
namespace {

using Json = nlohmann::ordered_json;

void append(std::vector<Finding>& all, std::vector<Finding> more) {
  std::move(more.begin(), more.end(), std::back_inserter(all));
}

std::filesystem::path path_of(const DataSourceConfig& source) {
  switch (source.kind()) {
    case DataSourceConfig::Kind::kYolo:
      return source.yolo;
    case DataSourceConfig::Kind::kVoc:
      return source.voc;
    case DataSourceConfig::Kind::kCoco:
      return source.coco;
    case DataSourceConfig::Kind::kYaml:
      return source.yaml;
  }
  return {};
}

NamedDataset open_named(const char* name, const DataSourceConfig& source, const Reading& reading) {
  return {name, path_of(source), std::make_shared<Dataset>(load_source(source, reading))};
}

/// Whether the config has pictures for a split: a data.yaml need not have both splits.
bool has_split(const std::optional<DataSourceConfig>& source, const std::filesystem::path& yaml,
               const char* split) {
  if (source || yaml.empty()) return source.has_value();
  const std::vector<std::string> splits = data_yaml_splits(yaml);
  return std::find(splits.begin(), splits.end(), split) != splits.end();
}

DataReport::Set report_set(const NamedDataset& named, CheckDepth depth) {
  DataReport::Set set;
  set.name = named.name;
  set.summary = named.data->summary();
  set.statistics = statistics_of(*named.data);
  set.notes = named.data->notes;
  set.findings = named.data->findings;
  if (depth == CheckDepth::kPixels) append(set.findings, undecodable_pictures(*named.data));
  append(set.findings, repeated_pictures(named));
  append(set.findings, empty_classes(named));
  return set;
}

Json json_of(const Finding& finding, const std::string& set) {
  return {{"set", set},
          {"file", printable(finding.file.string(), 4096)},
          {"line", finding.line},
          {"reason", finding.reason},
          {"effect", finding.effect}};
}

Json json_of(const DataReport::Set& set) {
  const DatasetStatistics& s = set.statistics;
  Json classes = Json::array();
  for (const DatasetStatistics::Class& c : s.classes) {
    classes.push_back({{"name", c.name}, {"labels", c.labels}, {"pictures", c.pictures}});
  }
  return {{"pictures", s.pictures},
          {"background", s.background},
          {"unlabelled", s.unlabelled},
          {"labels", s.labels},
          {"outlines", s.outlines},
          {"classes", classes},
          {"boxes", {{"small", s.small}, {"medium", s.medium}, {"large", s.large}}},
          {"quantiles",
           {{"at", {0.0, 0.25, 0.5, 0.75, 1.0}},
            {"box_width", s.box_width},
            {"box_height", s.box_height},
            {"picture_width", s.picture_width},
            {"picture_height", s.picture_height}}}};
}

std::string share(int64_t part, int64_t whole) {
  return fmt::format("{} ({:.1f} %)", part, whole > 0 ? 100.0 * double(part) / double(whole) : 0);
}

std::string text_of(const DataReport::Set& set) {
  const DatasetStatistics& s = set.statistics;
  std::string text = fmt::format("{}: {}\n", set.name, set.summary);
  for (const std::string& note : set.notes) text += "  note: " + note + "\n";
  text += fmt::format("  nothing on it: {}; unlabelled: {}; labels with outlines: {}\n",
                      share(s.background, s.pictures), share(s.unlabelled, s.pictures),
                      share(s.outlines, s.labels));
  text +=
      fmt::format("  boxes: small {}, medium {}, large {} (32 and 96 pixels a side)\n",
                  share(s.small, s.labels), share(s.medium, s.labels), share(s.large, s.labels));
  text += fmt::format("  {:<24} {:>9} {:>9} {:>9} {:>9} {:>9}\n", "", "minimum", "25 %", "median",
                      "75 %", "maximum");
  const auto row = [&](const char* what, const Quantiles& q, const char* form) {
    text += fmt::format("  {:<24}", what);
    for (const double value : q) text += fmt::format(fmt::runtime(form), value);
    text += "\n";
  };
  row("box width / picture", s.box_width, " {:>9.4f}");
  row("box height / picture", s.box_height, " {:>9.4f}");
  row("picture width, pixels", s.picture_width, " {:>9.0f}");
  row("picture height, pixels", s.picture_height, " {:>9.0f}");
  text += fmt::format("  {:<24} {:>9} {:>9}\n", "class", "labels", "pictures");
  for (const DatasetStatistics::Class& c : s.classes) {
    text += fmt::format("  {:<24} {:>9} {:>9}\n", printable(c.name, 40), c.labels, c.pictures);
  }
  return text;
}

}  // namespace

int64_t DataReport::num_findings() const {
  size_t count = shared_findings.size() + missing.size();
  for (const Set& set : sets) count += set.findings.size();
  return int64_t(count);
}

DataReport report_data(const Config& config, CheckDepth depth) {
  const DataConfig& data = config.data;
  const bool has_val = has_split(data.val, data.yaml, "val");
  // A data.yaml without both is refused by the reader, which reports what it lacks.
  const bool without_labels = trains_without_labels(config);
  const bool has_train = !without_labels && (has_split(data.train, data.yaml, "train") || !has_val);
  std::vector<NamedDataset> sets;
  DataReport report;
  Reading reading = reading_of(config);
  if (has_train) sets.push_back(open_named("train", train_source(config), reading));
  if (has_train && has_val) reading = validation_reading(config, *sets.back().data);
  if (has_val) {
    sets.push_back(open_named("val", val_source(config), reading));
  } else {
    report.missing.push_back({data.yaml.empty() ? "data.val" : data.yaml, 0,
                              "there are no validation pictures", "training refuses"});
  }
  for (const NamedDataset& set : sets) report.sets.push_back(report_set(set, depth));
  if (sets.size() == 2) report.shared_findings = shared_pictures(sets[0], sets[1]);
  if (config.data.unlabeled) {
    const NamedDataset unlabelled{"unlabeled", config.data.unlabeled->pictures,
                                  std::make_shared<Dataset>(load_unlabelled(data))};
    report.sets.push_back(report_set(unlabelled, depth));
    // The student should not be taught on pictures that are used for validation.
    if (has_val) {
      append(report.sets.back().findings, shared_pictures(unlabelled, sets.back()));
    }
  }
  return report;
}

std::string to_json(const DataReport& report) {
  Json sets = Json::object(), findings = Json::array(), notes = Json::array();
  for (const DataReport::Set& set : report.sets) {
    sets[set.name] = json_of(set);
    for (const Finding& finding : set.findings) findings.push_back(json_of(finding, set.name));
    for (const std::string& note : set.notes) notes.push_back(note);
  }
  for (const Finding& finding : report.shared_findings) {
    findings.push_back(json_of(finding, "train and val"));
  }
  for (const Finding& finding : report.missing) findings.push_back(json_of(finding, "val"));
  return Json{
      {"ok", report.num_findings() == 0}, {"sets", sets}, {"findings", findings}, {"notes", notes}}
      .dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string to_text(const DataReport& report) {
  std::string text;
  for (const DataReport::Set& set : report.sets) text += text_of(set) + "\n";
  for (const DataReport::Set& set : report.sets) {
    for (const Finding& finding : set.findings) text += set.name + ": " + finding.str() + "\n";
  }
  for (const Finding& finding : report.shared_findings) text += finding.str() + "\n";
  for (const Finding& finding : report.missing) text += finding.str() + "\n";
  const int64_t count = report.num_findings();
  return text + (count == 0 ? "nothing found\n"
                            : fmt::format("{} finding{}\n", count, count == 1 ? "" : "s"));
}

}  // namespace ydistill
