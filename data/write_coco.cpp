// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include <ydistill/data/dataset_writer.h>

namespace ydistill::writing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

/// Rounded to 1/1000 pixel, so that it prints short.
double rounded(double value) {
  return std::round(value * 1000) / 1000;
}

/// Area of a closed outline x y x y ... in pixels, by the shoelace formula.
double area_of(const std::vector<double>& points) {
  double twice = 0;
  for (size_t i = 0; i + 1 < points.size(); i += 2) {
    const size_t j = (i + 2) % points.size();
    twice += points[i] * points[j + 1] - points[j] * points[i + 1];
  }
  return std::abs(twice) / 2;
}

Json annotation(const Label& label, const Sample& sample, int64_t id, int64_t image_id) {
  const PixelBox box = pixel_box(label, sample);
  double area = (box.x2 - box.x1) * (box.y2 - box.y1);
  Json segmentation = Json::array();
  if (has_outline(label)) {
    std::vector<double> points;
    for (const auto& [x, y] : label.polygon) {
      points.push_back(rounded(double(x) * double(sample.width)));
      points.push_back(rounded(double(y) * double(sample.height)));
    }
    area = area_of(points);
    segmentation.push_back(points);
  }
  return {{"id", id},
          {"image_id", image_id},
          {"category_id", label.class_id + 1},
          {"bbox",
           {rounded(box.x1), rounded(box.y1), rounded(box.x2 - box.x1), rounded(box.y2 - box.y1)}},
          {"area", rounded(area)},
          {"iscrowd", 0},
          {"segmentation", segmentation}};
}

std::string instances_text(const NamedSplit& split) {
  Json images = Json::array(), annotations = Json::array(), categories = Json::array();
  for (size_t i = 0; i < split.data->names.size(); ++i) {
    categories.push_back({{"id", i + 1}, {"name", split.data->names[i]}});
  }
  int64_t annotation_id = 0;
  for (size_t i = 0; i < split.samples.size(); ++i) {
    const Sample& sample = *split.samples[i].sample;
    const int64_t image_id = int64_t(i) + 1;
    images.push_back({{"id", image_id},
                      {"file_name", split.samples[i].file_name()},
                      {"width", sample.width},
                      {"height", sample.height}});
    for (const Label& label : sample.labels) {
      annotations.push_back(annotation(label, sample, ++annotation_id, image_id));
    }
  }
  const Json root{{"images", images}, {"annotations", annotations}, {"categories", categories}};
  return root.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

void write_coco(std::span<const NamedSplit> splits, const fs::path& folder) {
  for (const NamedSplit& split : splits) {
    write_text(folder / "annotations" / ("instances_" + split.name + ".json"),
               instances_text(split));
  }
}

}  // namespace ydistill::writing
