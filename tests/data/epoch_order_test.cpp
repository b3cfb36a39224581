// SPDX-License-Identifier: MIT
#include <ydistill/data/epoch_order.h>
#include <ydistill/tensor/error.h>

#include <algorithm>
#include <map>
#include <numeric>

#include "support/catch.h"

namespace ydistill::test {
namespace {

std::vector<int64_t> range(int64_t begin, int64_t end) {
  std::vector<int64_t> all(static_cast<size_t>(end - begin));
  std::iota(all.begin(), all.end(), begin);
  return all;
}

std::vector<int64_t> batch_of(const EpochOrder& order, size_t batch) {
  return {order.indices.begin() + order.begins[batch],
          order.indices.begin() + order.begins[batch + 1]};
}

TEST_CASE("epoch order: without a share all pictures are passed over alike") {
  const EpochPlan plan({0, 2, 4}, {1, 3}, 2, 0);
  CHECK(plan.num_batches() == 3);
  CHECK(plan.unlabelled_share() == Approx(0.4));
  CHECK(plan.order(Order::kFile, 1, 0).indices == range(0, 5));
  std::vector<int64_t> shuffled = plan.order(Order::kShuffled, 1, 0).indices;
  CHECK(shuffled != plan.order(Order::kShuffled, 1, 1).indices);
  std::sort(shuffled.begin(), shuffled.end());
  CHECK(shuffled == range(0, 5));
}

TEST_CASE(
    "epoch order: every batch holds its share of unlabelled pictures, the last in proportion") {
  const EpochPlan plan(range(0, 10), range(10, 17), 8, 0.5);
  REQUIRE(plan.num_batches() == 3);  // 4 + 4, 4 + 4, 2 + 2
  CHECK(plan.unlabelled_share() == Approx(0.5));
  const EpochOrder order = plan.order(Order::kShuffled, 5, 3);
  for (const auto& [batch, size] : std::map<size_t, int64_t>{{0, 8}, {1, 8}, {2, 4}}) {
    const std::vector<int64_t> indices = batch_of(order, batch);
    REQUIRE(int64_t(indices.size()) == size);
    CHECK(plan.pictures_in(int64_t(batch)) == size);
    CHECK(std::count_if(indices.begin(), indices.end(), [](int64_t i) { return i >= 10; }) ==
          size / 2);
  }
}

TEST_CASE(
    "epoch order: unlabelled pictures go on where the last epoch stopped, each equally often") {
  const EpochPlan plan(range(0, 6), range(6, 11), 4, 0.5);  // 6 of 5 unlabelled an epoch
  for (const Order kind : {Order::kFile, Order::kShuffled}) {
    std::map<int64_t, int> uses;
    for (int64_t epoch = 0; epoch < 5; ++epoch) {
      for (const int64_t i : plan.order(kind, 9, epoch).indices) ++uses[i];
    }
    CHECK(uses.size() == 11);
    for (const auto& [picture, count] : uses) CHECK(count == (picture < 6 ? 5 : 6));
  }
}

TEST_CASE("epoch order: a batch always holds some of either kind") {
  CHECK(EpochPlan(range(0, 9), range(9, 12), 4, 0.01).unlabelled_share() == Approx(0.25));
  CHECK(EpochPlan(range(0, 9), range(9, 12), 4, 0.99).unlabelled_share() == Approx(0.75));
  CHECK_THROWS_WITH_TEXT(EpochPlan(range(0, 9), range(9, 12), 1, 0.5), ValueError,
                         "a batch of 1 cannot hold labelled and unlabelled pictures");
}

}  // namespace
}  // namespace ydistill::test
