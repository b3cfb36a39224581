// SPDX-License-Identifier: MIT
#include <ydistill/data/dataset_statistics.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

namespace ydistill {

Quantiles quantiles_of(std::vector<double> values) {
  Quantiles quantiles{};
  if (values.empty()) return quantiles;
  std::sort(values.begin(), values.end());
  for (size_t i = 0; i < quantiles.size(); ++i) {
    const double place =
        double(i) / double(quantiles.size() - 1) * static_cast<double>(values.size() - 1);
    const size_t below = size_t(std::floor(place));
    const size_t above = std::min(below + 1, values.size() - 1);
    const double share = place - double(below);
    quantiles[i] = values[below] * (1 - share) + values[above] * share;
  }
  return quantiles;
}

DatasetStatistics statistics_of(const Dataset& dataset) {
  constexpr double kSmall = 32.0 * 32.0, kMedium = 96.0 * 96.0;
  DatasetStatistics s;
  for (const std::string& name : dataset.names) s.classes.push_back({name});
  std::vector<double> box_width, box_height, picture_width, picture_height;
  for (const Sample& sample : dataset.samples) {
    ++s.pictures;
    picture_width.push_back(double(sample.width));
    picture_height.push_back(double(sample.height));
    if (!sample.labelled) {
      ++s.unlabelled;
    } else if (sample.labels.empty()) {
      ++s.background;
    }
    std::set<int64_t> seen;
    for (const Label& label : sample.labels) {
      ++s.labels;
      if (!label.polygon.empty()) ++s.outlines;
      if (label.class_id >= 0 && label.class_id < int64_t(s.classes.size())) {
        DatasetStatistics::Class& c = s.classes[size_t(label.class_id)];
        ++c.labels;
        if (seen.insert(label.class_id).second) ++c.pictures;
      }
      const double area = label.w * double(sample.width) * label.h * double(sample.height);
      ++(area < kSmall ? s.small : area < kMedium ? s.medium : s.large);
      box_width.push_back(label.w);
      box_height.push_back(label.h);
    }
  }
  s.box_width = quantiles_of(std::move(box_width));
  s.box_height = quantiles_of(std::move(box_height));
  s.picture_width = quantiles_of(std::move(picture_width));
  s.picture_height = quantiles_of(std::move(picture_height));
  return s;
}

}  // namespace ydistill
