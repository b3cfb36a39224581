// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>
#include <utility>

#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {

std::string Finding::str() const {
  const std::string where = line > 0 ? fmt::format(":{}", line) : "";
  return fmt::format("{}{}: {} ({})", printable(file.string()), where, reason, effect);
}

int64_t Dataset::num_labels() const {
  int64_t count = 0;
  for (const Sample& sample : samples) count += int64_t(sample.labels.size());
  return count;
}

int64_t Dataset::num_unlabelled() const {
  return std::count_if(samples.begin(), samples.end(),
                       [](const Sample& sample) { return !sample.labelled; });
}

std::string Dataset::summary() const {
  if (!samples.empty() && num_unlabelled() == int64_t(samples.size())) {
    return fmt::format("{} pictures without labels; dropped: {} pictures", samples.size(),
                       pictures_dropped);
  }
  return fmt::format(
      "{} pictures, {} labels, {} classes; dropped: {} pictures, {} labels; ignored: {} labels",
      samples.size(), num_labels(), names.size(), pictures_dropped, labels_dropped, labels_ignored);
}

namespace {

Dataset load_data_yaml(const DataSource& source, std::vector<std::string> names) {
  DataYaml yaml = read_data_yaml(source.path, source.split);
  if (names.empty()) {
    names = yaml.names;
  } else if (names != yaml.names) {
    yaml.notes.push_back(fmt::format("{}: its {} names are not used, the {} that were given are",
                                     printable(source.path.string()), yaml.names.size(),
                                     names.size()));
  }
  DataSource pictures;
  pictures.path = yaml.paths.front();
  pictures.more.assign(yaml.paths.begin() + 1, yaml.paths.end());
  pictures.cache_folder = source.cache_folder;
  Dataset dataset = reading::load_yolo(pictures, std::move(names));
  dataset.notes.insert(dataset.notes.begin(), yaml.notes.begin(), yaml.notes.end());
  return dataset;
}

}  // namespace

Dataset load_dataset(const DataSource& source, std::vector<std::string> names) {
  std::error_code error;
  if (!std::filesystem::exists(source.path, error)) {
    throw FileError("{}: no such file or folder", printable(source.path.string()));
  }
  try {
    switch (source.kind) {
      case DataSource::Kind::kYolo:
      case DataSource::Kind::kPictures:
        return reading::load_yolo(source, std::move(names));
      case DataSource::Kind::kVoc:
        return reading::load_voc(source, std::move(names));
      case DataSource::Kind::kCoco:
        return reading::load_coco(source, std::move(names));
      case DataSource::Kind::kYaml:
        return load_data_yaml(source, std::move(names));
    }
  } catch (const std::filesystem::filesystem_error& problem) {
    throw FileError("{}: {}", printable(source.path.string()), problem.code().message());
  }
  throw ValueError("load_dataset: unknown kind {}", int(source.kind));
}

void add_unlabelled(Dataset& dataset, Dataset unlabelled) {
  const auto canonical = [](const std::filesystem::path& path) {
    std::error_code error;
    const std::filesystem::path found = std::filesystem::weakly_canonical(path, error);
    return error ? path : found;
  };
  std::set<std::filesystem::path> known;
  for (const Sample& sample : dataset.samples) known.insert(canonical(sample.image));
  int64_t twice = 0;
  std::filesystem::path first;
  for (Sample& sample : unlabelled.samples) {
    if (known.contains(canonical(sample.image))) {
      if (twice++ == 0) first = sample.image;
    } else {
      dataset.samples.push_back(std::move(sample));
    }
  }
  dataset.findings.insert(dataset.findings.end(),
                          std::make_move_iterator(unlabelled.findings.begin()),
                          std::make_move_iterator(unlabelled.findings.end()));
  dataset.pictures_dropped += unlabelled.pictures_dropped;
  if (twice > 0) {
    dataset.findings.push_back(
        {first, 0,
         fmt::format("among the training pictures too, as are {} more unlabelled ones", twice - 1),
         "used with its labels"});
  }
}

std::filesystem::path default_cache_folder() {
  const auto folder_of = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    const std::filesystem::path folder = value != nullptr ? value : "";
    return folder.is_absolute() ? folder : std::filesystem::path();
  };
  if (const auto cache = folder_of("XDG_CACHE_HOME"); !cache.empty()) return cache / "ydistill";
  if (const auto home = folder_of("HOME"); !home.empty()) return home / ".cache" / "ydistill";
  return {};
}

std::vector<Dataset> load_splits(std::span<const DataSource> sources,
                                 const std::vector<std::string>& names) {
  std::vector<Dataset> splits;
  std::vector<std::string> all = names;
  bool is_voc = false;
  for (const DataSource& source : sources) {
    splits.push_back(load_dataset(source, names));
    is_voc = is_voc || source.kind == DataSource::Kind::kVoc;
    for (const std::string& name : splits.back().names) {
      if (std::find(all.begin(), all.end(), name) == all.end()) all.push_back(name);
    }
  }
  if (!names.empty()) return splits;
  if (is_voc) std::sort(all.begin(), all.end());
  for (size_t i = 0; i < splits.size(); ++i) {
    if (splits[i].names != all) splits[i] = load_dataset(sources[i], all);
  }
  return splits;
}

}  // namespace ydistill
