// SPDX-License-Identifier: MIT
// The memory of a step (one memory model for training and inference).
//
// An arena is one stretch of reserved addresses. Blocks are handed out best-fit, lowest address
// first, and return when the last tensor on them goes. The choice depends on nothing but the order
// of requests and releases, so a step that repeats its requests gets the same addresses again: the
// peak is known after the first step, nothing is asked of the system in the loop, and a step can be
// captured and replayed. Pages stay mapped between steps, so they are not faulted in again.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>

#include <ydistill/tensor/device.h>

namespace ydistill {

/// Memory the machine can still give to this process, in bytes: the smaller of what is available
/// and what its control group leaves.
int64_t available_memory();
/// The same of a device. throws DeviceError.
int64_t available_memory(Device device);

/// A block of aligned memory (64 bytes on the CPU, 256 on a GPU); gives itself back when destroyed.
class Storage {
 public:
  virtual ~Storage() = default;
  std::byte* data() const { return data_; }
  int64_t nbytes() const { return nbytes_; }
  Device device() const { return device_; }

 protected:
  std::byte* data_ = nullptr;
  int64_t nbytes_ = 0;
  Device device_;
};

/// Block of the current thread's arena of that device where an ArenaScope is open, else from the
/// heap. throws OutOfMemoryError.
std::shared_ptr<Storage> allocate_storage(int64_t nbytes, Device device = {});

/// Blocks that this process has taken from the heap so far, for tests.
int64_t heap_blocks_taken();

/// Zeros in the CPU's memory that take none of it until they are written to: what is never used
/// costs nothing. Null where an ArenaScope is open or for so few bytes that it would not pay.
std::shared_ptr<Storage> allocate_zero_pages(int64_t nbytes);

/// Reserved addresses of one device. Bytes are usable once committed, and stay so.
class AddressRange {
 public:
  virtual ~AddressRange() = default;
  std::byte* base() const { return base_; }
  int64_t nbytes() const { return nbytes_; }
  /// Makes the first `end` bytes usable. throws OutOfMemoryError.
  virtual void commit(int64_t end) = 0;

  // For ranges that watch over the use of blocks:
  /// Bytes that stay unused behind every block.
  int64_t gap() const { return gap_; }
  /// `nbytes` from `begin` on are handed out; they, and what stayed unused behind them, are back.
  virtual void lend(int64_t /*begin*/, int64_t /*nbytes*/) {}
  virtual void take_back(int64_t /*begin*/, int64_t /*nbytes*/) {}

 protected:
  std::byte* base_ = nullptr;
  int64_t nbytes_ = 0;
  int64_t gap_ = 0;
};

/// A limit that only a dry run can want: these addresses are reserved, and none of them used.
inline constexpr int64_t kUnlimited = int64_t(1) << 40;

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  /// limit: the most bytes that may be in use at once; 0 means what available_memory() says now.
  /// Less where the system has fewer addresses: limit_bytes() tells.
  static std::shared_ptr<Arena> create(int64_t limit = 0, Device device = {});
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// throws OutOfMemoryError naming the request, what is in use and the limit.
  std::shared_ptr<Storage> allocate(int64_t nbytes);

  int64_t bytes_in_use() const;
  /// Highest address ever used, relative to the start: what the arena costs.
  int64_t peak_bytes() const;
  int64_t limit_bytes() const { return limit_; }
  Device device() const { return device_; }

 private:
  class Block;
  Arena(int64_t limit, Device device);
  void release(int64_t offset, int64_t nbytes);

  mutable std::mutex mutex_;
  Device device_;
  std::unique_ptr<AddressRange> range_;
  int64_t limit_ = 0;
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  std::map<int64_t, int64_t> free_by_offset_;           // offset -> size, never adjacent
  std::set<std::pair<int64_t, int64_t>> free_by_size_;  // (size, offset)
};

/// While it lives, tensors created on this thread on the arena's device come from it. A null arena
/// means the heap, on every device.
class ArenaScope {
 public:
  explicit ArenaScope(std::shared_ptr<Arena> arena);
  ~ArenaScope();
  ArenaScope(const ArenaScope&) = delete;
  ArenaScope& operator=(const ArenaScope&) = delete;

 private:
  std::array<std::shared_ptr<Arena>, 2> outer_;  // by DeviceType
};

}  // namespace ydistill
