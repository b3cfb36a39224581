// SPDX-License-Identifier: MIT
// The memory of a step (one memory model for training and inference).
//
// An arena is one range of reserved addresses. Blocks are allocated best-fit, lowest address first,
// and are freed with the last tensor that uses them. The choice depends only on the order of
// requests and releases, so a step that repeats its requests gets the same addresses: the peak is
// known after the first step, the loop requests nothing from the system, and a step can be captured
// and replayed. Pages stay mapped between steps, so there are no new page faults.
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

/// Memory still available to this process, in bytes: the smaller of the machine's available memory
/// and the remainder of its control group.
int64_t available_memory();
/// The same for a device. throws DeviceError.
int64_t available_memory(Device device);

/// A block of aligned memory (64 bytes on the CPU, 256 on a GPU); freed when destroyed.
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

/// A block from the current thread's arena for that device if an ArenaScope is open, else from the
/// heap. throws OutOfMemoryError.
std::shared_ptr<Storage> allocate_storage(int64_t nbytes, Device device = {});

/// Number of blocks that this process has allocated on the heap so far, for tests.
int64_t heap_blocks_taken();

/// Zeros in CPU memory whose pages are allocated only when written. Null if an ArenaScope is open,
/// or for so few bytes that it does not pay.
std::shared_ptr<Storage> allocate_zero_pages(int64_t nbytes);

/// Reserved addresses of one device. Bytes are usable once committed, and stay committed.
class AddressRange {
 public:
  virtual ~AddressRange() = default;
  std::byte* base() const { return base_; }
  int64_t nbytes() const { return nbytes_; }
  /// Makes the first `end` bytes usable. throws OutOfMemoryError.
  virtual void commit(int64_t end) = 0;

  // For ranges that check the use of blocks:
  /// Unused bytes after every block.
  int64_t gap() const { return gap_; }
  /// lend: `nbytes` from `begin` on are allocated. take_back: they and the unused bytes after them
  /// are freed.
  virtual void lend(int64_t /*begin*/, int64_t /*nbytes*/) {}
  virtual void take_back(int64_t /*begin*/, int64_t /*nbytes*/) {}

 protected:
  std::byte* base_ = nullptr;
  int64_t nbytes_ = 0;
  int64_t gap_ = 0;
};

/// A limit for dry runs only: the addresses are reserved, but none is used.
inline constexpr int64_t kUnlimited = int64_t(1) << 40;

class Arena : public std::enable_shared_from_this<Arena> {
 public:
  /// limit: maximum number of bytes in use at a time; 0: the current available_memory(). It is
  /// lower if the system has fewer addresses: see limit_bytes().
  static std::shared_ptr<Arena> create(int64_t limit = 0, Device device = {});
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// throws OutOfMemoryError with the request, the bytes in use and the limit.
  std::shared_ptr<Storage> allocate(int64_t nbytes);

  int64_t bytes_in_use() const;
  /// Highest address ever used, relative to the start: the arena's memory use in bytes.
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

/// While it exists, tensors created by this thread on the arena's device are allocated in the
/// arena. A null arena means the heap, on every device.
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
