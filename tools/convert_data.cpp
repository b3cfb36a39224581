// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include <ydistill/data/data_yaml.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/json_problem.h>
#include <ydistill/tensor/io/text_file.h>
#include <ydistill/tools/command.h>
#include <ydistill/tools/dataset_args.h>
#include <ydistill/tools/merge_args.h>
#include <ydistill/tools/progress.h>

namespace ydistill::tools {
namespace {

namespace fs = std::filesystem;

struct Args {
  std::vector<std::string> paths, splits, images, names, merge;
  std::string from;
  DatasetOutputArgs output;
};

struct NamedSource {
  std::string split;
  DataSource source;
};

std::string guess_format(const fs::path& path) {
  const std::string suffix = path.extension().string();
  if (suffix == ".yaml" || suffix == ".yml") return "yaml";
  if (suffix == ".json") return "coco";
  return fs::is_directory(path / "ImageSets") ? "voc" : "yolo";
}

/// data.yaml and VOC: one path that contains all splits.
std::vector<NamedSource> parts_of(const Args& args, const std::string& from) {
  if (args.paths.size() != 1) throw ConfigError("convert-data: {} takes one path", from);
  std::vector<std::string> splits = args.splits;
  if (splits.empty() && from == "yaml") splits = data_yaml_splits(args.paths[0]);
  if (splits.empty() && from == "yaml") {
    throw FileError("{}: lists no pictures; expected a key train, val or test", args.paths[0]);
  }
  if (splits.empty()) {
    throw ConfigError(
        "convert-data: --split: missing; voc needs the name of a list in ImageSets/Main");
  }
  std::vector<NamedSource> sources;
  const auto kind = from == "voc" ? DataSource::Kind::kVoc : DataSource::Kind::kYaml;
  for (const std::string& split : splits) {
    sources.push_back({split, {kind, args.paths[0], split, {}, {}}});
  }
  return sources;
}

/// Refuses a JSON file that is not COCO, such as a config, before --images is asked for.
void check_is_coco(const fs::path& file) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return;  // the reader reports it
  const std::string text = read_text_file(file);
  nlohmann::json root;
  try {
    root = nlohmann::json::parse(text);
  } catch (const nlohmann::json::exception& problem) {
    throw FileError("{}: malformed JSON: {}", file.string(), json_problem(problem, text));
  }
  if (root.is_object() && (root.contains("images") || root.contains("annotations"))) return;
  const bool is_config = root.is_object() && (root.contains("data") || root.contains("model"));
  throw ConfigError("convert-data: {}: not a COCO file: it has no list \"images\"{}", file.string(),
                    is_config ? "; give what this config's \"data\" names" : "");
}

/// YOLO and COCO: one path per split; with YOLO several paths may also be one split.
std::vector<NamedSource> separate(const Args& args, const std::string& from) {
  std::vector<std::string> splits = args.splits;
  if (splits.empty()) splits = {"train"};
  const size_t n = args.paths.size();
  if (from == "yolo" && splits.size() == 1) {
    return {{splits[0],
             {DataSource::Kind::kYolo,
              args.paths[0],
              {},
              {},
              {args.paths.begin() + 1, args.paths.end()}}}};
  }
  if (splits.size() != n) {
    throw ConfigError("convert-data: --split: {} for {} paths, expected one name each",
                      args.splits.empty() ? "missing" : fmt::format("{} names", splits.size()), n);
  }
  if (from == "coco" && args.images.empty()) check_is_coco(args.paths.front());
  if (from == "coco" && args.images.size() != 1 && args.images.size() != n) {
    throw ConfigError(
        "convert-data: --images: expected one folder of pictures, or one per JSON file");
  }
  std::vector<NamedSource> sources;
  for (size_t i = 0; i < n; ++i) {
    if (from == "yolo") {
      sources.push_back({splits[i], {DataSource::Kind::kYolo, args.paths[i], {}, {}, {}}});
    } else {
      const std::string& images = args.images[args.images.size() == 1 ? 0 : i];
      sources.push_back({splits[i], {DataSource::Kind::kCoco, args.paths[i], {}, images, {}}});
    }
  }
  return sources;
}

int convert(const Args& args) {
  const std::string from = args.from.empty() ? guess_format(args.paths.front()) : args.from;
  if (from != "coco" && !args.images.empty()) {
    throw ConfigError("convert-data: --images: goes with COCO only, {} is read as {}",
                      args.paths[0], from);
  }
  const std::vector<NamedSource> named =
      from == "voc" || from == "yaml" ? parts_of(args, from) : separate(args, from);
  const ClassMerges merges = merges_of(args.merge, "convert-data");
  std::vector<DataSource> sources;
  std::vector<std::string> split_names;
  for (const NamedSource& source : named) {
    sources.push_back(source.source);
    sources.back().stop = stop_signal_came;
    sources.back().merge = merges;
    split_names.push_back(source.split);
  }
  check_dataset_output(args.output, split_names, "convert-data");
  const std::vector<Dataset> datasets = load_splits(sources, args.names);
  std::vector<DatasetSplit> splits;
  for (size_t i = 0; i < datasets.size(); ++i) {
    for (const std::string& note : datasets[i].notes) message("data: " + note);
    for (const Finding& finding : datasets[i].findings) message("data: " + finding.str());
    splits.push_back({split_names[i], &datasets[i]});
  }
  if (datasets.front().names.empty()) {
    throw ConfigError(
        "convert-data: {}: no label found, so the classes are unknown; YOLO labels of "
        "a/images/b.jpg are looked for in a/labels/b.txt and a/images/b.txt; pictures without "
        "labels need --names",
        args.paths.front());
  }
  write_dataset(splits, args.output.format(), args.output.transfer(), args.output.out,
                stop_signal_came);
  for (const DatasetSplit& split : splits) {
    message(fmt::format("{}: {}", split.name, split.data->summary()));
  }
  message(fmt::format("written: {}; in a config: {}", args.output.out,
                      how_to_name(args.output, split_names, datasets.front().names)));
  return 0;
}

}  // namespace

Run add_convert_data(CLI::App& app) {
  auto args = std::make_shared<Args>();
  CLI::App* cmd =
      app.add_subcommand("convert-data", "Write a data set as YOLO, Pascal VOC or COCO");
  cmd->add_option("paths", args->paths,
                  "data.yaml, COCO JSON files, a VOC folder, or YOLO folders and list files")
      ->required();
  cmd->add_option("--from", args->from, "what the paths are; default: detected")
      ->check(CLI::IsMember({"yolo", "voc", "coco", "yaml"}));
  add_dataset_output_options(*cmd, args->output);
  cmd->add_option("--split", args->splits,
                  "VOC, data.yaml: splits to take; YOLO, COCO: what to call each path (train)");
  cmd->add_option("--images", args->images,
                  "COCO: the folder of the pictures, one for all or one per file");
  cmd->add_option("--names", args->names, "class names in the order of their ids");
  add_merge_option(*cmd, args->merge);
  return [args] {
    catch_stop_signals(OnSignal::kSay);  // otherwise half-written output would remain
    try {
      return convert(*args);
    } catch (const StoppedError&) {
      message(fmt::format("convert-data: stopped; {} is not written", args->output.out));
      return kRunFailed;
    }
  };
}

}  // namespace ydistill::tools
