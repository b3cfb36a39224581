// SPDX-License-Identifier: MIT
#include <ydistill/data/batch_memory.h>

#include <algorithm>
#include <atomic>

#include <ydistill/data/loader.h>

namespace ydistill {

Tensor BatchMemory::pictures(const Shape& shape) {
  const int64_t nbytes = shape.numel() * size_of(DType::kUInt8);
  const std::lock_guard lock(mutex_);
  const auto is_free = [](const std::shared_ptr<Storage>& block) { return block.use_count() == 1; };
  const auto found = std::find_if(blocks_.begin(), blocks_.end(), [&](const auto& block) {
    return is_free(block) && block->nbytes() >= nbytes;
  });
  if (found != blocks_.end()) {
    // Makes the last use of the block by another thread happen before it is written again.
    std::atomic_thread_fence(std::memory_order_acquire);
    return Tensor::over(*found, 0, shape, DType::kUInt8);
  }
  // The free blocks are too small; the larger one replaces them.
  std::erase_if(blocks_, is_free);
  std::shared_ptr<Storage> block = allocate_storage(nbytes);
  if (int64_t(blocks_.size()) < kBatchesAlive) blocks_.push_back(block);
  return Tensor::over(std::move(block), 0, shape, DType::kUInt8);
}

void BatchMemory::clear() {
  const std::lock_guard lock(mutex_);
  blocks_.clear();
}

}  // namespace ydistill
