// SPDX-License-Identifier: MIT
#include <ydistill/train/coco_results.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

using Json = nlohmann::ordered_json;

/// Rounded, to be printed in few digits.
double rounded(float value, double parts) {
  return std::round(double(value) * parts) / parts;
}

Json id_of(const Sample& sample) {
  if (!sample.coco_id.empty()) return Json::parse(sample.coco_id);
  const std::string name = sample.image.stem().string();
  const bool number =
      !name.empty() && name.size() <= 18 &&
      std::all_of(name.begin(), name.end(), [](unsigned char c) { return c >= '0' && c <= '9'; });
  if (number) return std::stoll(name);
  return name;
}

}  // namespace

CocoResults::CocoResults(std::shared_ptr<const Dataset> dataset) : dataset_(std::move(dataset)) {
  std::map<Json, const Sample*> known;
  for (const Sample& sample : dataset_->samples) {
    if (!sample.coco_id.empty() && dataset_->coco_category_ids.empty()) {
      throw ConfigError(
          "COCO results: all objects are of one class (train.single_class), no category of the "
          "file");
    }
    const auto [at, is_new] = known.try_emplace(id_of(sample), &sample);
    if (is_new) continue;
    throw ConfigError("COCO results: {} and {} would both have the id {}; other names wanted",
                      printable(at->second->image.string()), printable(sample.image.string()),
                      printable(at->first.dump(-1, ' ', false, Json::error_handler_t::replace)));
  }
}

void CocoResults::add(const EvaluatedBatch& batch) {
  const std::vector<int64_t>& categories = dataset_->coco_category_ids;
  for (size_t i = 0; i < batch.found.size(); ++i) {
    const Json id = id_of(dataset_->samples.at(size_t(batch.batch.indices[i])));
    for (const Detection& d : batch.found[i]) {
      int64_t category = d.class_id;
      if (!categories.empty()) {
        category = d.class_id < int64_t(categories.size()) ? categories[size_t(d.class_id)] : -1;
      }
      if (category < 0) {
        ++left_out_;
        continue;
      }
      const Json box{{"image_id", id},
                     {"category_id", category},
                     {"bbox",
                      {rounded(d.x1, 1e3), rounded(d.y1, 1e3), rounded(d.x2 - d.x1, 1e3),
                       rounded(d.y2 - d.y1, 1e3)}},
                     {"score", rounded(d.score, 1e5)}};
      boxes_ += box.dump(-1, ' ', false, Json::error_handler_t::replace) + ",\n";
    }
  }
}

int64_t CocoResults::write(const std::filesystem::path& file, Exchange& exchange) const {
  std::vector<double> left_out{double(left_out_)};
  exchange.sum(left_out);
  const std::vector<std::string> parts = exchange.gather(boxes_);
  exchange.together([&] {
    if (!exchange.is_first()) return;
    std::string text = "[";
    for (const std::string& part : parts) text += part;
    if (text.size() > 1) text.resize(text.size() - 2);
    write_file_atomically(file, text + "]\n");
  });
  return int64_t(left_out[0]);
}

}  // namespace ydistill
