// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset.h>

#include <utility>

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

std::string Dataset::summary() const {
  return fmt::format(
      "{} pictures, {} labels, {} classes; dropped: {} pictures, {} labels; ignored: {} labels",
      samples.size(), num_labels(), names.size(), pictures_dropped, labels_dropped, labels_ignored);
}

Dataset load_dataset(const DataSource& source, std::vector<std::string> names) {
  std::error_code error;
  if (!std::filesystem::exists(source.path, error)) {
    throw FileError("{}: no such file or folder", printable(source.path.string()));
  }
  try {
    switch (source.kind) {
      case DataSource::Kind::kYolo:
        return reading::load_yolo(source, std::move(names));
      case DataSource::Kind::kVoc:
        return reading::load_voc(source, std::move(names));
      case DataSource::Kind::kCoco:
        return reading::load_coco(source, std::move(names));
    }
  } catch (const std::filesystem::filesystem_error& problem) {
    throw FileError("{}: {}", printable(source.path.string()), problem.code().message());
  }
  throw ValueError("load_dataset: unknown kind {}", int(source.kind));
}

}  // namespace ydistill
