// SPDX-License-Identifier: MIT
#include <ydistill/data/picture_weights.h>

#include <algorithm>

namespace ydistill {

std::vector<double> picture_weights(const Dataset& dataset, std::span<const double> class_map) {
  std::vector<double> counts(dataset.names.size());
  for (const Sample& sample : dataset.samples) {
    for (const Label& label : sample.labels) ++counts[size_t(label.class_id)];
  }
  std::vector<double> of_class;
  double sum = 0;
  for (const double count : counts) {
    of_class.push_back(1 / std::max(count, 1.0));
    sum += of_class.back();
  }
  for (size_t c = 0; c < of_class.size(); ++c) {
    const double missing = 1 - (c < class_map.size() ? class_map[c] : 0);
    of_class[c] *= missing * missing / sum;
  }
  std::vector<double> weights;
  for (const Sample& sample : dataset.samples) {
    double weight = 0;
    for (const Label& label : sample.labels) weight += of_class[size_t(label.class_id)];
    weights.push_back(weight);
  }
  return weights;
}

std::vector<int64_t> draw_by_weight(std::span<const int64_t> indices,
                                    std::span<const double> weights, int64_t count, Rng rng) {
  std::vector<double> until;  // sums of the weights so far
  double sum = 0;
  for (const int64_t index : indices) until.push_back(sum += weights[size_t(index)]);
  std::vector<int64_t> drawn;
  for (int64_t i = 0; i < count; ++i) {
    size_t at = 0;
    if (sum > 0) {
      const auto found = std::upper_bound(until.begin(), until.end(), rng.uniform() * sum);
      at = std::min(size_t(found - until.begin()), until.size() - 1);
    } else {
      at = size_t(rng.below(int64_t(indices.size())));
    }
    drawn.push_back(indices[at]);
  }
  return drawn;
}

}  // namespace ydistill
