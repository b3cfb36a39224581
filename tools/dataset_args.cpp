// SPDX-License-Identifier: MIT
#include <ydistill/tools/dataset_args.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/writable_folder.h>

namespace ydistill::tools {

DatasetFormat DatasetOutputArgs::format() const {
  static const std::map<std::string, DatasetFormat> formats{
      {"yolo", DatasetFormat::kYolo}, {"voc", DatasetFormat::kVoc}, {"coco", DatasetFormat::kCoco}};
  return formats.at(to);
}

PictureTransfer DatasetOutputArgs::transfer() const {
  static const std::map<std::string, PictureTransfer> transfers{
      {"copy", PictureTransfer::kCopy},
      {"hardlink", PictureTransfer::kHardLink},
      {"symlink", PictureTransfer::kSymbolicLink}};
  return transfers.at(pictures);
}

void add_dataset_output_options(CLI::App& command, DatasetOutputArgs& args,
                                const std::string& to_default) {
  args.to = to_default;
  CLI::Option* to = command.add_option("--to", args.to, "what to write")
                        ->check(CLI::IsMember({"yolo", "voc", "coco"}));
  if (to_default.empty()) {
    to->required();
  } else {
    to->capture_default_str();
  }
  command.add_option("--out", args.out, "folder to write, which must not exist")->required();
  command.add_option("--pictures", args.pictures, "copy, hardlink or symlink")
      ->check(CLI::IsMember({"copy", "hardlink", "symlink"}))
      ->capture_default_str();
}

void check_dataset_output(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                          const std::string& command) {
  std::error_code error;
  if (std::filesystem::exists(std::filesystem::symlink_status(args.out, error))) {
    throw FileError("{}: already exists; name a new folder", printable(args.out));
  }
  check_folder_is_writable(args.out);
  try {
    check_split_names(splits, args.format());
  } catch (const ValueError& problem) {
    throw ConfigError("{}: --split: {}", command, problem.what());
  }
}

std::string how_to_name(const DatasetOutputArgs& args, const std::vector<std::string>& splits,
                        const std::vector<std::string>& names) {
  const auto has = [&](const char* split) {
    return std::find(splits.begin(), splits.end(), split) != splits.end();
  };
  if (args.to == "yolo" && has("train") && has("val")) {
    return fmt::format("\"data\": {{\"yaml\": \"{}/data.yaml\"}}", args.out);
  }
  const auto source = [&](const std::string& split) {
    if (args.to == "yolo") return fmt::format("{{\"yolo\": \"{}/images/{}\"}}", args.out, split);
    if (args.to == "voc") {
      return fmt::format("{{\"voc\": \"{}\", \"split\": \"{}\"}}", args.out, split);
    }
    return fmt::format(
        "{{\"coco\": \"{0}/annotations/instances_{1}.json\", \"images\": \"{0}/images/{1}\"}}",
        args.out, split);
  };
  const bool only_val = splits.size() == 1 && has("val");
  const std::string train = has("train") ? "train" : splits.front();
  std::string text =
      fmt::format("\"data\": {{\"{}\": {}", only_val ? "val" : "train", source(train));
  for (const std::string& split : splits) {
    if (split == train || (has("val") && split != "val")) continue;
    text += fmt::format(", \"val\": {}", source(split));
    break;
  }
  if (args.to != "coco") {
    // On one line, with spaces as in the other members.
    std::vector<std::string> quoted;
    for (const std::string& name : names) quoted.push_back(nlohmann::json(name).dump());
    text += fmt::format(", \"names\": [{}]", fmt::join(quoted, ", "));
  }
  return text + "}";
}

}  // namespace ydistill::tools
