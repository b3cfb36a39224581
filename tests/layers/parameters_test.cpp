// SPDX-License-Identifier: MIT
#include <ydistill/layers/parameters.h>

#include "support/catch.h"

namespace ydistill {
namespace {

TEST_CASE("parameters: groups are contiguous and aligned views of one buffer") {
  ParameterStore store;
  store.add("a.bias", {3}, ParameterGroup::kBias);
  store.add("a.weight", {2, 1, 1, 5}, ParameterGroup::kDecay);
  store.add("b.weight", {7}, ParameterGroup::kNoDecay);
  store.add("b.conv", {17}, ParameterGroup::kDecay);
  store.allocate();
  CHECK(store.num_elements() == 3 + 10 + 7 + 17);
  CHECK(store.range(ParameterGroup::kDecay) == std::pair<int64_t, int64_t>(0, 48));
  CHECK(store.range(ParameterGroup::kNoDecay) == std::pair<int64_t, int64_t>(48, 64));
  CHECK(store.range(ParameterGroup::kBias) == std::pair<int64_t, int64_t>(64, 80));
  for (int i = 0; i < store.num_parameters(); ++i) {
    CHECK(reinterpret_cast<uintptr_t>(store.var(i).value().raw()) % 64 == 0);
    CHECK(store.var(i).value().shares_storage(store.values()));
    CHECK(store.var(i).grad().shares_storage(store.grads()));
  }
  store.var(0).value().fill(2);
  CHECK(store.values().at(64) == 2);
}

TEST_CASE("parameters: names are unique and nothing is declared too late") {
  ParameterStore store;
  store.add("a", {1}, ParameterGroup::kBias);
  CHECK_THROWS_WITH_TEXT(store.add("a", {1}, ParameterGroup::kBias), ValueError,
                         "a declared twice");
  store.allocate();
  CHECK_THROWS_WITH_TEXT(store.add("b", {1}, ParameterGroup::kBias), ValueError,
                         "declared after allocate()");
}

TEST_CASE("parameters: statistics start at their initial values") {
  ParameterStore store;
  store.add_statistic("mean", {3}, 0);
  store.add_statistic("var", {3}, 1);
  store.allocate();
  CHECK(store.statistic(0).at(2) == 0);
  CHECK(store.statistic(1).at(2) == 1);
}

}  // namespace
}  // namespace ydistill
