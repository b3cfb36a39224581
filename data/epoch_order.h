// SPDX-License-Identifier: MIT
// Which pictures make which batch of an epoch. Not for users: the training loader owns it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ydistill/data/loader.h>

namespace ydistill {

/// Batch b holds indices[begins[b]] to indices[begins[b + 1] - 1].
struct EpochOrder {
  std::vector<int64_t> indices;
  std::vector<int64_t> begins;
};

/// How many pictures of either kind a batch holds, and how many batches an epoch has.
class EpochPlan {
 public:
  /// labelled, unlabelled: dataset indices in the dataset's order. share: of the unlabelled ones,
  /// TrainLoaderOptions::unlabelled_share. throws ValueError for a batch that cannot hold both.
  EpochPlan(std::vector<int64_t> labelled, std::vector<int64_t> unlabelled, int64_t batch,
            double share);

  int64_t num_batches() const;
  double unlabelled_share() const;
  /// A function of its arguments and of what the plan was made from.
  EpochOrder order(Order order, uint64_t seed, int64_t epoch) const;

 private:
  int64_t unlabelled_beside(int64_t labelled) const;

  std::vector<int64_t> first_;   // an epoch passes over these
  std::vector<int64_t> second_;  // and takes these along; empty unless they are mixed by share
  int64_t unlabelled_in_first_ = 0;
  int64_t per_batch_ = 0;  // of the first
  int64_t beside_ = 0;     // of the second, in a full batch
};

}  // namespace ydistill
