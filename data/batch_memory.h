// SPDX-License-Identifier: MIT
// The memory of a loader's batches, used again once nobody holds a batch any more: fresh pages
// would cost about as much as the mixing of the pictures that go there. Not for users.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

class BatchMemory {
 public:
  /// Uninitialised uint8 numbers, in a block that was used before where there is one free that is
  /// large enough. throws OutOfMemoryError.
  Tensor pictures(const Shape& shape);
  /// Gives back what no tensor uses, the rest as soon as none does.
  void clear();

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Storage>> blocks_;  // in use or free, kBatchesAlive at most
};

}  // namespace ydistill
