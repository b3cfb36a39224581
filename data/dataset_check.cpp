// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset_check.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/data/image.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/fnv_hash.h>
#include <ydistill/tensor/io/text.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> read_bytes(const fs::path& path) {
  try {
    return read_text_file(path);
  } catch (const FileError&) {
    return std::nullopt;
  }
}

/// Hash of a file. Files with equal hash and size are compared byte by byte.
uint64_t hash_of(const std::string& bytes) {
  FnvHash hash;
  hash.add(std::as_bytes(std::span(bytes)));
  return hash.value();
}

struct Entry {
  const Sample* sample = nullptr;
  fs::path real = {};  ///< with links resolved
  uintmax_t size = 0;
  uint64_t hash = 0;  ///< only for sizes that occur twice
  bool readable = true;
};

std::vector<Entry> entries_of(std::span<const NamedDataset* const> sets) {
  std::vector<Entry> entries;
  for (const NamedDataset* set : sets) {
    for (const Sample& sample : set->data->samples) entries.push_back({&sample});
  }
  reading::for_each_picture(int64_t(entries.size()), [&](int64_t i) {
    Entry& entry = entries[size_t(i)];
    std::error_code error;
    entry.real = fs::weakly_canonical(entry.sample->image, error);
    entry.size = fs::file_size(entry.sample->image, error);
    entry.readable = !error;
  });
  std::map<uintmax_t, std::map<fs::path, int>> files_of_size;
  for (const Entry& entry : entries) files_of_size[entry.size][entry.real] = 0;
  reading::for_each_picture(int64_t(entries.size()), [&](int64_t i) {
    Entry& entry = entries[size_t(i)];
    if (!entry.readable || files_of_size.at(entry.size).size() < 2) return;
    const std::optional<std::string> bytes = read_bytes(entry.sample->image);
    entry.readable = bytes.has_value();
    if (bytes) entry.hash = hash_of(*bytes);
  });
  return entries;
}

bool same_content(const Entry& a, const Entry& b) {
  if (a.size != b.size || a.hash != b.hash || !a.readable || !b.readable) return false;
  const auto first = read_bytes(a.sample->image), second = read_bytes(b.sample->image);
  return first && second && *first == *second;
}

std::string quoted(const fs::path& path) {
  return printable(path.string());
}

/// Index of entries by file and by content.
class Index {
 public:
  void add(const Entry& entry) {
    by_file_.emplace(entry.real, &entry);
    by_content_.emplace(std::pair(entry.size, entry.hash), &entry);
  }
  const Entry* same_file(const Entry& entry) const {
    const auto found = by_file_.find(entry.real);
    return found == by_file_.end() ? nullptr : found->second;
  }
  const Entry* same_bytes(const Entry& entry) const {
    const auto [begin, end] = by_content_.equal_range({entry.size, entry.hash});
    const auto found = std::find_if(
        begin, end, [&](const auto& item) { return same_content(*item.second, entry); });
    return found == end ? nullptr : found->second;
  }

 private:
  std::map<fs::path, const Entry*> by_file_;
  std::multimap<std::pair<uintmax_t, uint64_t>, const Entry*> by_content_;
};

}  // namespace

std::vector<Finding> undecodable_pictures(const Dataset& dataset) {
  std::vector<std::string> reasons(dataset.samples.size());
  reading::for_each_picture(int64_t(dataset.samples.size()), [&](int64_t i) {
    const Sample& sample = dataset.samples[size_t(i)];
    try {
      read_image(sample.image);
    } catch (const FileError& problem) {
      reasons[size_t(i)] = reading::without_name(problem.what(), sample.image);
    }
  });
  std::vector<Finding> findings;
  for (size_t i = 0; i < reasons.size(); ++i) {
    if (reasons[i].empty()) continue;
    findings.push_back({dataset.samples[i].image, 0, std::move(reasons[i]), "picture left out"});
  }
  return findings;
}

std::vector<Finding> repeated_pictures(const NamedDataset& set) {
  constexpr const char* kEffect = "kept, it counts once more";
  const NamedDataset* const sets[] = {&set};
  const std::vector<Entry> entries = entries_of(sets);
  std::vector<Finding> findings;
  Index index;
  for (const Entry& entry : entries) {
    const Entry* other = index.same_file(entry);
    if (other != nullptr) {
      findings.push_back({entry.sample->image, 0,
                          fmt::format("the picture is in {} more than once", set.name), kEffect});
      continue;
    }
    other = index.same_bytes(entry);
    if (other != nullptr) {
      findings.push_back(
          {entry.sample->image, 0,
           fmt::format("the same picture as {}{}", quoted(other->sample->image),
                       entry.sample->labels == other->sample->labels ? "" : ", with other labels"),
           kEffect});
    }
    index.add(entry);
  }
  return findings;
}

std::vector<Finding> shared_pictures(const NamedDataset& first, const NamedDataset& second) {
  const std::string effect =
      fmt::format("kept, {} measures on pictures that were trained on", second.name);
  const NamedDataset* const sets[] = {&first, &second};
  const std::vector<Entry> entries = entries_of(sets);
  const size_t boundary = first.data->samples.size();
  Index index;
  for (size_t i = 0; i < boundary; ++i) index.add(entries[i]);
  std::vector<Finding> findings;
  for (size_t i = boundary; i < entries.size(); ++i) {
    const Entry& entry = entries[i];
    if (index.same_file(entry) != nullptr) {
      findings.push_back({entry.sample->image, 0,
                          fmt::format("is in {} and in {}", first.name, second.name), effect});
    } else if (const Entry* other = index.same_bytes(entry)) {
      findings.push_back({entry.sample->image, 0,
                          fmt::format("is in {}, the same picture as {} in {}", second.name,
                                      quoted(other->sample->image), first.name),
                          effect});
    }
  }
  if (findings.size() > 1 && findings.size() == second.data->samples.size()) {
    return {
        {second.source, 0,
         fmt::format("all {} pictures of {} are in {}", findings.size(), second.name, first.name),
         effect}};
  }
  return findings;
}

std::vector<Finding> empty_classes(const NamedDataset& set) {
  std::vector<int64_t> labels(set.data->names.size(), 0);
  for (const Sample& sample : set.data->samples) {
    for (const Label& label : sample.labels) ++labels.at(size_t(label.class_id));
  }
  std::vector<Finding> findings;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] > 0) continue;
    findings.push_back({set.source, 0,
                        fmt::format("class {} \"{}\" has no label in {}", i,
                                    printable(set.data->names[i], 40), set.name),
                        set.name == "train" ? "it cannot be learnt" : "it is not measured"});
  }
  return findings;
}

}  // namespace ydistill
