// SPDX-License-Identifier: MIT
#include <ydistill/data/epoch_order.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/random.h>

namespace ydistill {
namespace {

// Names of random streams (Rng's `purpose`).
constexpr uint32_t kShuffleStream = 0x73687566, kUnlabelledStream = 0x756e6c61;

/// Fisher-Yates.
std::vector<int64_t> shuffled(std::vector<int64_t> indices, Rng rng) {
  for (int64_t i = int64_t(indices.size()) - 1; i > 0; --i) {
    std::swap(indices[size_t(i)], indices[size_t(rng.below(i + 1))]);
  }
  return indices;
}

}  // namespace

EpochPlan::EpochPlan(std::vector<int64_t> labelled, std::vector<int64_t> unlabelled, int64_t batch,
                     double share)
    : per_batch_(batch) {
  if (share <= 0 || unlabelled.empty() || labelled.empty()) {
    unlabelled_in_first_ = int64_t(unlabelled.size());
    first_ = std::move(labelled);
    first_.insert(first_.end(), unlabelled.begin(), unlabelled.end());
    std::sort(first_.begin(), first_.end());
    return;
  }
  if (batch < 2) {
    throw ValueError(
        "TrainLoader: a batch of {} cannot hold labelled and unlabelled pictures, at "
        "least 2 wanted",
        batch);
  }
  beside_ = std::clamp<int64_t>(std::llround(share * double(batch)), 1, batch - 1);
  per_batch_ = batch - beside_;
  first_ = std::move(labelled);
  second_ = std::move(unlabelled);
}

int64_t EpochPlan::num_batches() const {
  return (int64_t(first_.size()) + per_batch_ - 1) / per_batch_;
}

/// Number of unlabelled pictures in a batch with this many labelled ones; fewer in an epoch's last.
int64_t EpochPlan::unlabelled_beside(int64_t labelled) const {
  if (beside_ == 0) return 0;
  return (beside_ * labelled + per_batch_ - 1) / per_batch_;
}

int64_t EpochPlan::pictures_in(int64_t batch) const {
  const int64_t of_first = std::min(per_batch_, int64_t(first_.size()) - batch * per_batch_);
  return of_first + unlabelled_beside(of_first);
}

double EpochPlan::unlabelled_share() const {
  const int64_t count = int64_t(first_.size());
  const int64_t rest = count % per_batch_;
  const int64_t beside = count / per_batch_ * beside_ + (rest > 0 ? unlabelled_beside(rest) : 0);
  return double(unlabelled_in_first_ + beside) / double(std::max<int64_t>(count + beside, 1));
}

EpochOrder EpochPlan::order(Order order, uint64_t seed, int64_t epoch) const {
  const auto in_order = [&](const std::vector<int64_t>& indices, uint64_t pass, uint32_t stream) {
    return order == Order::kFile ? indices : shuffled(indices, Rng(seed, pass, 0, stream));
  };
  const std::vector<int64_t> labelled = in_order(first_, uint64_t(epoch), kShuffleStream);
  const int64_t count = int64_t(labelled.size()), of_second = int64_t(second_.size());
  const int64_t batches = num_batches();

  // The number of unlabelled pictures used so far: the same in every epoch.
  int64_t place = 0;
  if (of_second > 0) {
    const int64_t last = count - (batches - 1) * per_batch_;
    place = epoch * ((batches - 1) * beside_ + unlabelled_beside(last));
  }
  int64_t pass = -1;
  std::vector<int64_t> unlabelled;
  const auto next_unlabelled = [&] {
    if (place / of_second != pass) {
      pass = place / of_second;
      unlabelled = in_order(second_, uint64_t(pass), kUnlabelledStream);
    }
    return unlabelled[size_t(place++ % of_second)];
  };

  EpochOrder result;
  for (int64_t begin = 0; begin < count; begin += per_batch_) {
    const int64_t end = std::min(begin + per_batch_, count);
    result.begins.push_back(int64_t(result.indices.size()));
    result.indices.insert(result.indices.end(), labelled.begin() + begin, labelled.begin() + end);
    for (int64_t i = unlabelled_beside(end - begin); i > 0; --i) {
      result.indices.push_back(next_unlabelled());
    }
  }
  result.begins.push_back(int64_t(result.indices.size()));
  return result;
}

}  // namespace ydistill
