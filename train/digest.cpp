// SPDX-License-Identifier: MIT
#include <ydistill/train/digest.h>

#include <fmt/format.h>

#include <span>

#include <ydistill/tensor/fnv_hash.h>
#include <ydistill/tensor/io/text_file.h>

namespace ydistill {

std::string digest_of(const Dataset& dataset) {
  FnvHash hash;
  for (const Sample& sample : dataset.samples) {
    hash.add(sample.width);
    hash.add(sample.height);
    hash.add(sample.labelled);
    hash.add(sample.labels.size());
    hash.add(std::as_bytes(std::span(sample.coco_id)));
    for (const Label& label : sample.labels) {
      hash.add(label.class_id);
      for (const double number : {label.cx, label.cy, label.w, label.h}) hash.add(number);
      for (const auto& point : label.polygon) hash.add(std::as_bytes(std::span(point)));
    }
  }
  for (const int64_t id : dataset.coco_category_ids) hash.add(id);
  return fmt::format("{} {:016x}", dataset.samples.size(), hash.value());
}

std::string digest_of(const std::filesystem::path& file) {
  const std::string bytes = read_text_file(file);
  FnvHash hash;
  hash.add(std::as_bytes(std::span(bytes)));
  return fmt::format("{} {:016x}", bytes.size(), hash.value());
}

}  // namespace ydistill
