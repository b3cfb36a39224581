// SPDX-License-Identifier: MIT
// What a distillation takes of a model before its head.
#include <algorithm>
#include <cmath>

#include <ydistill/yolo/checkpoint.h>

#include "support/catch.h"
#include "train/tiny_data.h"

namespace ydistill {
namespace {

TEST_CASE("features: projections are trained, but no weights of the network") {
  const GraphSpec spec = graph_from_json(test::tiny_graph());
  Model plain(spec), model(spec, {}, {.feature_channels = {24, 40}});
  plain.initialise(1);
  model.initialise(1);
  const ParameterStore& store = model.parameters();
  REQUIRE(store.num_parameters() == plain.parameters().num_parameters() + 1);
  const int last = store.num_parameters() - 1;
  CHECK(store.name(last) == "projection.1.weight");
  CHECK(store.is_auxiliary(last));
  CHECK(store.group(last) == ParameterGroup::kDecay);
  CHECK(store.num_elements() == plain.parameters().num_elements());
  // As nn.Conv2d begins: uniform in +-1 / sqrt(32).
  double largest = 0;
  for (const float v : store.var(last).value().span<float>()) {
    largest = std::max(largest, double(std::abs(v)));
  }
  CHECK(largest <= 1 / std::sqrt(32.0));
  CHECK(largest > 0.9 / std::sqrt(32.0));

  // What others read of the model is what it is without them, bit for bit.
  const NamedTensors exported = export_weights(model), expected = export_weights(plain);
  REQUIRE(exported.size() == expected.size());
  for (size_t i = 0; i < exported.size(); ++i) {
    CHECK(exported[i].first == expected[i].first);
    for (int64_t k = 0; k < expected[i].second.numel(); ++k) {
      CHECK(exported[i].second.at(k) == expected[i].second.at(k));
    }
  }
  CHECK(load_weights(model, expected).missing.empty());
  const NamedTensors auxiliary = export_auxiliary(model, store.values());
  REQUIRE(auxiliary.size() == 1);
  CHECK(auxiliary[0].first == "projection.1.weight");
  CHECK(auxiliary[0].second.shape() == Shape({40, 32, 1, 1}));
}

TEST_CASE("features: they come with the wanted channels, finest scale first") {
  const GraphSpec spec = graph_from_json(test::tiny_graph());
  const Tensor images = Tensor::zeros({2, 64, 96, 3}, DType::kUInt8);
  for (const bool wider : {false, true}) {
    Model model(
        spec, {},
        {.feature_channels = wider ? std::vector<int64_t>{48, 64} : std::vector<int64_t>()});
    model.initialise(1);
    std::vector<Var> features;
    const std::vector<Var> heads = model.forward(images, ForwardMode::kTrain, {}, &features);
    CHECK(heads.size() == 2);
    REQUIRE(features.size() == 2);
    CHECK(features[0].shape() == Shape({2, 8, 12, wider ? 48 : 24}));
    CHECK(features[1].shape() == Shape({2, 4, 6, wider ? 64 : 32}));
  }
  CHECK_THROWS_WITH_TEXT(Model(spec, {}, {.feature_channels = {8}}), ShapeError,
                         "2 maps, channels wanted of 1");
}

TEST_CASE("features: a network frozen but for its projections is refused") {
  const GraphSpec spec = graph_from_json(test::tiny_graph());
  CHECK_THROWS_WITH_TEXT(Model(spec, {}, {.frozen = {"model.0-9"}, .feature_channels = {48, 64}}),
                         ValueError, "nothing is left to train");
}

}  // namespace
}  // namespace ydistill
