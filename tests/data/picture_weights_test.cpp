// SPDX-License-Identifier: MIT
#include <ydistill/data/picture_weights.h>

#include "support/catch.h"

namespace ydistill::test {
namespace {

/// Class 0 four times, class 1 once, class 2 never.
Dataset three_classes() {
  Dataset dataset;
  dataset.names = {"often", "once", "never"};
  const Label often{0, 0.5, 0.5, 0.1, 0.1}, once{1, 0.5, 0.5, 0.1, 0.1};
  for (const auto& labels : {std::vector<Label>{often, often, once}, std::vector<Label>{often},
                             std::vector<Label>{}, std::vector<Label>{often}}) {
    Sample sample;
    sample.labels = labels;
    dataset.samples.push_back(sample);
  }
  return dataset;
}

}  // namespace

TEST_CASE("picture weights: they add up what YOLOv5 gives to the classes") {
  // 1/4, 1/1 and 1 (for none): sum 2.25. Class weights 1/9, 4/9, 4/9.
  const std::vector<double> plain = picture_weights(three_classes(), {});
  REQUIRE(plain.size() == 4);
  CHECK(plain[0] == Approx(6.0 / 9));
  CHECK(plain[1] == Approx(1.0 / 9));
  CHECK(plain[2] == 0);
  CHECK(plain[3] == plain[1]);
  // (1 - mAP)^2 a class: 1/4 and 1.
  const std::vector<double> found =
      picture_weights(three_classes(), std::vector<double>{0.5, 0, 0});
  CHECK(found[0] == Approx((2 * 0.25 + 4) / 9));
  CHECK(found[1] == Approx(0.25 / 9));
}

TEST_CASE("picture weights: where all is found pictures are drawn alike") {
  const std::vector<double> weights =
      picture_weights(three_classes(), std::vector<double>{1, 1, 1});
  const std::vector<int64_t> all{0, 1, 2, 3};
  std::array<int, 4> counts{};
  for (const int64_t i : draw_by_weight(all, weights, 4000, Rng(1))) ++counts[size_t(i)];
  for (const int count : counts) CHECK(std::abs(count - 1000) < 4 * 28);
}

}  // namespace ydistill::test
