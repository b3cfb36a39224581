// SPDX-License-Identifier: MIT
// Which pictures are in which batch of an epoch. Internal to the training loader.
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

/// The number of labelled and unlabelled pictures per batch, and of batches per epoch.
class EpochPlan {
 public:
  /// labelled, unlabelled: dataset indices in the dataset's order. share: of the unlabelled ones,
  /// TrainLoaderOptions::unlabelled_share. throws ValueError for a batch that cannot hold both.
  EpochPlan(std::vector<int64_t> labelled, std::vector<int64_t> unlabelled, int64_t batch,
            double share);

  int64_t num_batches() const;
  /// Number of pictures in a batch: the last one may have fewer than the others.
  int64_t pictures_in(int64_t batch) const;
  double unlabelled_share() const;
  /// Depends only on its arguments and on those of the constructor.
  EpochOrder order(Order order, uint64_t seed, int64_t epoch) const;

 private:
  int64_t unlabelled_beside(int64_t labelled) const;

  std::vector<int64_t> first_;   // an epoch uses each of these once
  std::vector<int64_t> second_;  // and adds these; empty unless they are mixed by share
  int64_t unlabelled_in_first_ = 0;
  int64_t per_batch_ = 0;  // of the first
  int64_t beside_ = 0;     // of the second, in a full batch
};

}  // namespace ydistill
