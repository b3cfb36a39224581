// SPDX-License-Identifier: MIT
// The memory of a step (one memory model for training and inference).
//
// An arena is one stretch of reserved addresses. Blocks are handed out best-fit, lowest address
// first, and return when the last tensor on them goes. The choice depends on nothing but the order
// of requests and releases, so a step that repeats its requests gets the same addresses again: the
// peak is known after the first step, nothing is asked of the system in the loop, and a step can be
// captured and replayed. Pages stay mapped between steps, so they are not faulted in again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>

namespace ydistill {

/// Memory the machine can still give to this process, in bytes: the smaller of what is available
/// and what its control group leaves.
int64_t available_memory();

/// A block of 64-byte aligned memory; gives itself back when destroyed.
class Storage {
 public:
  virtual ~Storage() = default;
  std::byte* data() const { return data_; }
  int64_t nbytes() const { return nbytes_; }

 protected:
  std::byte* data_ = nullptr;
  int64_t nbytes_ = 0;
};

/// Block of the current thread's arena where an ArenaScope is open, else from the heap.
/// throws OutOfMemoryError.
std::shared_ptr<Storage> allocate_storage(int64_t nbytes);

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  /// limit: the most bytes that may be in use at once; 0 means what available_memory() says now.
  static std::shared_ptr<Arena> create(int64_t limit = 0);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// throws OutOfMemoryError naming the request, what is in use and the limit.
  std::shared_ptr<Storage> allocate(int64_t nbytes);

  int64_t bytes_in_use() const;
  /// Highest address ever used, relative to the start: what the arena costs.
  int64_t peak_bytes() const;
  int64_t limit_bytes() const { return limit_; }

 private:
  class Block;
  explicit Arena(int64_t limit);
  void release(int64_t offset, int64_t nbytes);

  mutable std::mutex mutex_;
  std::byte* base_ = nullptr;
  int64_t reserved_ = 0;
  int64_t limit_ = 0;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  std::map<int64_t, int64_t> free_by_offset_;           // offset -> size, never adjacent
  std::set<std::pair<int64_t, int64_t>> free_by_size_;  // (size, offset)
};

/// While it lives, tensors created on this thread come from `arena`. A null arena means the heap.
class ArenaScope {
 public:
  explicit ArenaScope(std::shared_ptr<Arena> arena);
  ~ArenaScope();
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  std::shared_ptr<Arena> outer_;
};

}  // namespace ydistill
