// SPDX-License-Identifier: MIT
#include <ydistill/layers/projections.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("projections: a map of other channels is multiplied, one of the same is passed on") {
  ParameterStore store;
  Projections projections(store, "p", {2, 3}, {2, 4});
  store.allocate();
  REQUIRE(store.num_parameters() == 1);
  CHECK(store.name(0) == "p.1.weight");
  CHECK(store.var(0).shape() == Shape({4, 1, 1, 3}));
  store.var(0).value().copy_from(
      Tensor::of<float>({4, 1, 1, 3}, {1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1}));
  const Var same(Tensor::full({1, 2, 2, 2}, 5));
  const Var other(Tensor::of<float>({1, 1, 1, 3}, {7, 8, 9}));
  const std::vector<Var> maps = projections.forward({same, other});
  CHECK(maps[0].value().shares_storage(same.value()));
  REQUIRE(maps[1].shape() == Shape({1, 1, 1, 4}));
  for (int i = 0; i < 4; ++i) CHECK(maps[1].value().at(i) == (i < 3 ? 7 + i : 24));
  CHECK_THROWS_WITH_TEXT(projections.forward({same}), ShapeError, "2 maps expected, got 1");
}

}  // namespace
}  // namespace ydistill
