// SPDX-License-Identifier: MIT
#include <ydistill/tensor/error.h>
#include <ydistill/yolo/freeze.h>
#include <ydistill/yolo/model.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("freeze: a name means what stands below it, a range the modules in it") {
  const auto filter = layer_filter({"model.1", "model.4-6", "model.9.cv1"});
  for (const char* name : {"model.1.conv.weight", "model.4.cv1.conv.weight", "model.6.bn.bias",
                           "model.9.cv1.bn.weight"}) {
    CHECK(filter(name));
  }
  for (const char* name : {"model.10.conv.weight", "model.0.conv.weight", "model.7.bn.bias",
                           "model.9.cv2.bn.weight", "model.44.bn.bias"}) {
    CHECK_FALSE(filter(name));
  }
  CHECK_THROWS_WITH_TEXT(layer_filter({"model.6-4"}), ValueError,
                         "model.6-4: not a range of layers, model.0-9 would be one");
}

TEST_CASE("freeze: a model refuses a name that no parameter has, and to freeze everything") {
  const GraphSpec spec = graph_by_name("yolov5n", 2);
  const Model model(spec, {}, {.frozen = {"model.0-9"}});
  const ParameterStore& store = model.parameters();
  for (int i = 0; i < store.num_parameters(); ++i) {
    const bool is_backbone = layer_filter({"model.0-9"})(store.name(i));
    CHECK((store.group(i) == ParameterGroup::kFrozen) == is_backbone);
  }
  CHECK_THROWS_WITH_TEXT(Model(spec, {}, {.frozen = {"model.0", "backbone"}}), ValueError,
                         "backbone: no layer of the network");
  CHECK_THROWS_WITH_TEXT(Model(spec, {}, {.frozen = {"model.0-24"}}), ValueError,
                         "nothing is left to train");
}

}  // namespace
}  // namespace ydistill
