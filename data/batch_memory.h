// SPDX-License-Identifier: MIT
// Reuses the memory of a loader's batches once no tensor refers to it: touching fresh pages would
// cost about as much as computing the pictures in them. Internal.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/tensor.h>

namespace ydistill {

class BatchMemory {
 public:
  /// Uninitialised uint8 tensor, in a free block that is large enough, else in a new one. throws
  /// OutOfMemoryError.
  Tensor pictures(const Shape& shape);
  /// Frees all blocks; those still in use are freed with their last tensor.
  void clear();

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Storage>> blocks_;  // in use or free, kBatchesAlive at most
};

}  // namespace ydistill
