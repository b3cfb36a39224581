// SPDX-License-Identifier: MIT
#include <ydistill/tensor/arena.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <new>
#include <string>

#include <ydistill/tensor/error.h>

namespace ydistill {
namespace {

constexpr int64_t kAlignment = 64;
constexpr double kMiB = 1024.0 * 1024.0;

int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

thread_local std::shared_ptr<Arena> current_arena;

class HeapBlock : public Storage {
 public:
  explicit HeapBlock(int64_t nbytes) {
    const int64_t size = std::max(round_up(nbytes, kAlignment), kAlignment);
    // A request the machine cannot hold would be granted and then kill the process when touched.
    if (size > (int64_t(1) << 28) && size > available_memory()) {
      throw OutOfMemoryError("out of memory: {:.0f} MiB asked for, {:.0f} MiB available",
                             double(nbytes) / kMiB, double(available_memory()) / kMiB);
    }
    data_ = static_cast<std::byte*>(std::aligned_alloc(size_t(kAlignment), size_t(size)));
    if (data_ == nullptr) {
      throw OutOfMemoryError("out of memory: {:.0f} MiB asked for", double(nbytes) / kMiB);
    }
    nbytes_ = nbytes;
  }
  ~HeapBlock() override { std::free(data_); }
};

int64_t read_number(const char* path) {
  std::ifstream in(path);
  int64_t value = -1;
  in >> value;  // "max" leaves the stream failed
  return in ? value : -1;
}

}  // namespace

int64_t available_memory() {
  int64_t available = std::numeric_limits<int64_t>::max();
  std::ifstream meminfo("/proc/meminfo");
  for (std::string key, unit; meminfo >> key;) {
    int64_t kib = 0;
    meminfo >> kib;
    std::getline(meminfo, unit);
    if (key == "MemAvailable:") available = kib * 1024;
  }
  const int64_t group_limit = read_number("/sys/fs/cgroup/memory.max");
  const int64_t group_used = read_number("/sys/fs/cgroup/memory.current");
  if (group_limit > 0 && group_used >= 0) {
    available = std::min(available, std::max<int64_t>(group_limit - group_used, 0));
  }
  return available;
}

class Arena::Block : public Storage {
 public:
  Block(std::shared_ptr<Arena> arena, int64_t offset, int64_t reserved, int64_t nbytes)
      : arena_(std::move(arena)), offset_(offset), reserved_(reserved) {
    data_ = arena_->base_ + offset;
    nbytes_ = nbytes;
  }
  ~Block() override { arena_->release(offset_, reserved_); }

 private:
  std::shared_ptr<Arena> arena_;
  int64_t offset_;
  int64_t reserved_;
};

std::shared_ptr<Arena> Arena::create(int64_t limit) {
  return std::shared_ptr<Arena>(new Arena(limit > 0 ? limit : available_memory()));
}

Arena::Arena(int64_t limit) : limit_(limit) {
  // Twice the limit in addresses (they cost nothing until touched) leaves room for fragmentation.
  reserved_ = round_up(std::min(limit, int64_t(1) << 44) * 2, int64_t(1) << 21);
  void* base = mmap(nullptr, size_t(reserved_), PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (base == MAP_FAILED) {
    throw OutOfMemoryError("arena: cannot reserve {:.0f} MiB of addresses",
                           double(reserved_) / kMiB);
  }
  base_ = static_cast<std::byte*>(base);
  madvise(base, size_t(reserved_), MADV_HUGEPAGE);  // fewer page faults; harmless where refused
  free_by_offset_.emplace(0, reserved_);
  free_by_size_.emplace(reserved_, 0);
}

Arena::~Arena() {
  munmap(base_, size_t(reserved_));
}

std::shared_ptr<Storage> Arena::allocate(int64_t nbytes) {
  const int64_t size = std::max(round_up(nbytes, kAlignment), kAlignment);
  int64_t offset = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto fit = free_by_size_.lower_bound({size, 0});
    if (fit == free_by_size_.end() || fit->second + size > limit_) {
      throw OutOfMemoryError(
          "out of memory: {:.1f} MiB asked for with {:.1f} MiB in use, the limit is {:.1f} MiB",
          double(nbytes) / kMiB, double(in_use_) / kMiB, double(limit_) / kMiB);
    }
    const int64_t free_size = fit->first;
    offset = fit->second;
    free_by_size_.erase(fit);
    free_by_offset_.erase(offset);
    if (free_size > size) {
      free_by_offset_.emplace(offset + size, free_size - size);
      free_by_size_.emplace(free_size - size, offset + size);
    }
    in_use_ += size;
    peak_ = std::max(peak_, offset + size);
  }
  return std::make_shared<Block>(shared_from_this(), offset, size, nbytes);
}

void Arena::release(int64_t offset, int64_t size) {
  const std::lock_guard lock(mutex_);
  in_use_ -= size;
  auto next = free_by_offset_.lower_bound(offset);
  if (next != free_by_offset_.end() && next->first == offset + size) {
    size += next->second;
    free_by_size_.erase({next->second, next->first});
    next = free_by_offset_.erase(next);
  }
  if (next != free_by_offset_.begin()) {
    const auto before = std::prev(next);
    if (before->first + before->second == offset) {
      offset = before->first;
      size += before->second;
      free_by_size_.erase({before->second, before->first});
      free_by_offset_.erase(before);
    }
  }
  free_by_offset_.emplace(offset, size);
  free_by_size_.emplace(size, offset);
}

int64_t Arena::bytes_in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

int64_t Arena::peak_bytes() const {
  const std::lock_guard lock(mutex_);
  return peak_;
}

ArenaScope::ArenaScope(std::shared_ptr<Arena> arena)
    : outer_(std::exchange(current_arena, std::move(arena))) {}

ArenaScope::~ArenaScope() {
  current_arena = std::move(outer_);
}

std::shared_ptr<Storage> allocate_storage(int64_t nbytes) {
  if (current_arena) return current_arena->allocate(nbytes);
  return std::make_shared<HeapBlock>(nbytes);
}

}  // namespace ydistill
