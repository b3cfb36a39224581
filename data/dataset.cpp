// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset.h>

#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <set>
#include <utility>

#include <ydistill/data/data_yaml.h>
#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/edit_distance.h>
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

/// Maps labels to the ids that their classes have in `names`, a subset of the dataset's names;
/// drops labels of other classes.
void match_by_name(Dataset& dataset, const std::vector<std::string>& names,
                   const std::filesystem::path& file) {
  const auto ids = reading::ids_by_name(names);
  std::vector<int64_t> new_ids, left_out(dataset.names.size(), 0);
  for (const std::string& name : dataset.names) {
    const auto id = ids.find(name);
    new_ids.push_back(id == ids.end() ? -1 : id->second);
  }
  for (Sample& sample : dataset.samples) {
    std::erase_if(sample.labels, [&](Label& label) {
      const auto old = size_t(label.class_id);
      label.class_id = new_ids.at(old);
      left_out[old] += label.class_id < 0 ? 1 : 0;
      return label.class_id < 0;
    });
  }
  std::vector<reading::OtherClass> others;
  for (size_t c = 0; c < left_out.size(); ++c) {
    if (left_out[c] == 0) continue;
    dataset.labels_dropped += left_out[c];
    others.push_back({dataset.names[c], left_out[c], file, 0});
  }
  for (Finding& finding : reading::of_other_classes(others)) {
    dataset.findings.push_back(std::move(finding));
  }
  if (!dataset.coco_category_ids.empty()) {
    std::vector<int64_t> category_ids(names.size(), -1);
    for (size_t c = 0; c < new_ids.size(); ++c) {
      if (new_ids[c] >= 0) category_ids[size_t(new_ids[c])] = dataset.coco_category_ids[c];
    }
    dataset.coco_category_ids = std::move(category_ids);
  }
  dataset.names = names;
}

/// Maps labels to merged classes. Labels that become equal are reduced to one.
void merge_classes(Dataset& dataset, const ClassMerges& merges, const std::filesystem::path& file) {
  const std::string note = describe_merges(dataset.names, merges);
  if (!note.empty()) {
    dataset.notes.push_back(fmt::format("{}: {}", printable(file.string()), note));
  }
  const MergedNames merged = merged_names(dataset.names, merges);
  if (merged.names == dataset.names) return;
  int64_t repeated = 0;
  for (Sample& sample : dataset.samples) {
    std::vector<Label> labels;
    for (Label& label : sample.labels) {
      label.class_id = merged.id_of.at(size_t(label.class_id));
      if (std::find(labels.begin(), labels.end(), label) == labels.end()) {
        labels.push_back(std::move(label));
      }
    }
    repeated += int64_t(sample.labels.size() - labels.size());
    sample.labels = std::move(labels);
  }
  if (repeated > 0) {
    dataset.labels_dropped += repeated;
    dataset.findings.push_back(
        {file, 0, "the same object as two classes that count as one",
         repeated == 1 ? "label dropped" : fmt::format("{} labels dropped", repeated)});
  }
  if (!dataset.coco_category_ids.empty()) {
    // A class merged from several categories has no category id.
    std::vector<int64_t> category_ids(merged.names.size(), -1);
    for (size_t c = 0; c < merged.id_of.size(); ++c) {
      const int64_t parts = std::count(merged.id_of.begin(), merged.id_of.end(), merged.id_of[c]);
      if (parts == 1) category_ids[size_t(merged.id_of[c])] = dataset.coco_category_ids[c];
    }
    dataset.coco_category_ids = std::move(category_ids);
  }
  dataset.names_before_merge = std::exchange(dataset.names, merged.names);
}

/// Reads the file by its own names, then maps labels to the ids of `names`.
Dataset load_listed(const DataSource& source, DataYaml yaml,
                    const std::vector<std::string>& names) {
  DataSource pictures;
  pictures.path = yaml.paths.front();
  pictures.more.assign(yaml.paths.begin() + 1, yaml.paths.end());
  pictures.cache_folder = source.cache_folder;
  pictures.stop = source.stop;
  Dataset dataset = reading::load_yolo(pictures, names);
  dataset.notes.insert(dataset.notes.begin(), yaml.notes.begin(), yaml.notes.end());
  return dataset;
}

/// As many names as the file has rename its ids. Another number that is not a subset of its own
/// names is refused as a mistake: every label would get a wrong class.
[[noreturn]] void refuse_names(const std::string& file, const std::vector<std::string>& names,
                               const std::vector<std::string>& known) {
  const auto unknown = std::find_if(names.begin(), names.end(), [&](const std::string& name) {
    return !are_among({name}, known);
  });
  throw ConfigError(
      "{}: has no class \"{}\", the nearest is \"{}\"; give some of its names, or {} of your own, "
      "one "
      "for each of its ids",
      file, printable(*unknown, 40), printable(nearest_of(known, *unknown), 40), known.size());
}

Dataset load_data_yaml(const DataSource& source, const std::vector<std::string>& names) {
  DataYaml yaml = read_data_yaml(source.path, source.split);
  if (names.empty() || names == yaml.names) return load_listed(source, yaml, yaml.names);
  const std::string file = printable(source.path.string());
  if (are_among(names, yaml.names)) {
    yaml.notes.push_back(
        names.size() == yaml.names.size()
            ? fmt::format("{}: its names are in another order than expected; labels are "
                          "matched by name",
                          file)
            : fmt::format("{}: {} of its {} classes are wanted; labels are matched by name", file,
                          names.size(), yaml.names.size()));
    Dataset dataset = load_listed(source, yaml, yaml.names);
    match_by_name(dataset, names, source.path);
    return dataset;
  }
  if (names.size() != yaml.names.size()) refuse_names(file, names, yaml.names);
  yaml.notes.push_back(fmt::format("{}: its {} names are not used, the {} that were given are",
                                   file, yaml.names.size(), names.size()));
  return load_listed(source, yaml, names);
}

/// Without a merge.
Dataset load_as_written(const DataSource& source, const std::vector<std::string>& names) {
  switch (source.kind) {
    case DataSource::Kind::kYolo:
    case DataSource::Kind::kPictures:
      return reading::load_yolo(source, names);
    case DataSource::Kind::kVoc:
      return reading::load_voc(source, names);
    case DataSource::Kind::kCoco:
      return reading::load_coco(source, names);
    case DataSource::Kind::kYaml:
      return load_data_yaml(source, names);
  }
  throw ValueError("load_dataset: unknown kind {}", int(source.kind));
}

/// The names that a source is read with before its classes are merged.
std::vector<std::string> names_to_read_by(const DataSource& source,
                                          const std::vector<std::string>& names) {
  const std::string file = printable(source.path.string());
  if (source.kind == DataSource::Kind::kYolo && names.empty()) {
    throw ConfigError(
        "{}: its labels have only ids, but merging classes needs names (data.names, or "
        "--names)",
        file);
  }
  if (source.kind != DataSource::Kind::kYaml) {
    return source.kind == DataSource::Kind::kYolo ? names : std::vector<std::string>();
  }
  const std::vector<std::string> known = read_data_yaml(source.path, source.split).names;
  const std::vector<std::string> merged = merged_names(known, source.merge).names;
  for (const std::string& name : merged_names(names, source.merge).names) {
    if (are_among({name}, merged)) continue;
    if (names.size() == known.size()) return names;  // other names: matched by id
    throw ConfigError("{}: has no class \"{}\", it has {}", file, printable(name, 40),
                      printable_list(merged));
  }
  return known;
}

Dataset load_all_classes(const DataSource& source, const std::vector<std::string>& names) {
  if (source.merge.empty() || source.kind == DataSource::Kind::kPictures) {
    return load_as_written(source, names);
  }
  try {
    check_merges(source.merge);
  } catch (const ValueError& error) {
    throw ValueError("load_dataset: merge: {}", error.what());
  }
  Dataset dataset = load_as_written(source, names_to_read_by(source, names));
  merge_classes(dataset, source.merge, source.path);
  const std::vector<std::string> wanted = merged_names(names, source.merge).names;
  if (!names.empty() && wanted != dataset.names) match_by_name(dataset, wanted, source.path);
  return dataset;
}

Dataset load_single_class(DataSource source, std::vector<std::string> names) {
  ClassMerges merges;
  if (names.size() < 2) merges = std::exchange(source.merge, {});  // all become one in any case
  Dataset dataset;
  if (source.kind == DataSource::Kind::kYaml && source.merge.empty()) {
    const DataYaml yaml = read_data_yaml(source.path, source.split);
    if (names.empty()) names = yaml.names;
    dataset = names.size() == 1 ? load_listed(source, yaml, {}) : load_data_yaml(source, names);
    names = merged_names(names, merges).names;
  } else {
    dataset = load_all_classes(source, names.size() == 1 ? std::vector<std::string>() : names);
  }
  std::string name = names.size() == 1 ? names.front() : "";
  const size_t classes = dataset.names.size();
  const std::vector<std::string> merged = merged_names(dataset.names, merges).names;
  if (name.empty()) name = merged.size() == 1 ? merged.front() : "object";
  if (classes > 1) {
    dataset.notes.push_back(
        fmt::format("{} classes become one, \"{}\"", classes, printable(name, 40)));
  }
  dataset.names = {std::move(name)};
  if (classes > 1) dataset.coco_category_ids.clear();
  for (Sample& sample : dataset.samples) {
    for (Label& label : sample.labels) label.class_id = 0;
  }
  return dataset;
}

}  // namespace

Dataset load_dataset(const DataSource& source, const std::vector<std::string>& names) {
  std::error_code error;
  if (!std::filesystem::exists(source.path, error)) {
    throw FileError("{}: no such file or folder", printable(source.path.string()));
  }
  try {
    return source.classes == Classes::kSingle ? load_single_class(source, names)
                                              : load_all_classes(source, names);
  } catch (const std::filesystem::filesystem_error& problem) {
    throw FileError("{}: {}", printable(source.path.string()), problem.code().message());
  }
}

bool are_among(const std::vector<std::string>& names, const std::vector<std::string>& all) {
  return std::all_of(names.begin(), names.end(), [&](const std::string& name) {
    return std::count(all.begin(), all.end(), name) == 1;
  });
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
