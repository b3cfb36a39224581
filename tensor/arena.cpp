// SPDX-License-Identifier: MIT
#include <ydistill/tensor/arena.h>

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <new>
#include <string>

#include <ydistill/tensor/error.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/tensor/cuda/memory.h>
#endif

namespace ydistill {
namespace {

constexpr int64_t kAlignment = 64, kCudaAlignment = 256;
constexpr double kMiB = 1024.0 * 1024.0;

int64_t round_up(int64_t n, int64_t unit) {
  return (n + unit - 1) / unit * unit;
}

thread_local std::array<std::shared_ptr<Arena>, 2> current_arenas;  // by DeviceType

int64_t alignment_of(Device device) {
  return device.is_cpu() ? kAlignment : kCudaAlignment;
}

/// Linux grants requests larger than the memory and kills the process when it touches them.
void check_available(int64_t nbytes) {
  if (nbytes > (int64_t(1) << 28) && nbytes > available_memory()) {
    throw OutOfMemoryError("out of memory: {:.0f} MiB asked for, {:.0f} MiB available",
                           double(nbytes) / kMiB, double(available_memory()) / kMiB);
  }
}

std::atomic<int64_t> heap_blocks = 0;

class HeapBlock : public Storage {
 public:
  explicit HeapBlock(int64_t nbytes) {
    const int64_t size = std::max(round_up(nbytes, kAlignment), kAlignment);
    check_available(size);
    data_ = static_cast<std::byte*>(std::aligned_alloc(size_t(kAlignment), size_t(size)));
    if (data_ == nullptr) {
      throw OutOfMemoryError("out of memory: {:.0f} MiB asked for", double(nbytes) / kMiB);
    }
    nbytes_ = nbytes;
    ++heap_blocks;
  }
  ~HeapBlock() override { std::free(data_); }
};

class ZeroPages : public Storage {
 public:
  explicit ZeroPages(int64_t nbytes) {
    check_available(nbytes);
    void* const pages =
        mmap(nullptr, size_t(nbytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED) {
      throw OutOfMemoryError("out of memory: {:.0f} MiB asked for", double(nbytes) / kMiB);
    }
    data_ = static_cast<std::byte*>(pages);
    nbytes_ = nbytes;
  }
  ~ZeroPages() override { munmap(data_, size_t(nbytes_)); }
  ZeroPages(const ZeroPages&) = delete;
  ZeroPages& operator=(const ZeroPages&) = delete;
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

namespace {

/// Addresses use no memory until touched, so the whole range is usable without commit().
class HostRange : public AddressRange {
 public:
  /// Where the system refuses nbytes (39-bit addresses on many ARM systems, strict overcommit,
  /// ulimit -v), half as many are tried, again and again down to 64 MiB. Of what is granted then,
  /// half is given back: the rest of the program needs addresses, too.
  explicit HostRange(int64_t nbytes) {
    constexpr int64_t kLeast = int64_t(1) << 26;
    const auto reserve = [&] {
      return mmap(nullptr, size_t(nbytes), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    };
    void* base = reserve();
    const bool is_short = base == MAP_FAILED;
    while (base == MAP_FAILED && nbytes / 2 >= kLeast) {
      nbytes /= 2;
      base = reserve();
    }
    if (is_short && base != MAP_FAILED && nbytes / 2 >= kLeast) {
      const int64_t kept = nbytes / 2 / kLeast * kLeast;  // whole pages
      munmap(static_cast<std::byte*>(base) + kept, size_t(nbytes - kept));
      nbytes = kept;
    }
    if (base == MAP_FAILED) {
      throw OutOfMemoryError("arena: cannot reserve {:.0f} MiB of addresses",
                             double(nbytes) / kMiB);
    }
    base_ = static_cast<std::byte*>(base);
    nbytes_ = nbytes;
    madvise(base, size_t(nbytes), MADV_HUGEPAGE);  // fewer page faults; harmless where refused
  }
  ~HostRange() override { munmap(base_, size_t(nbytes_)); }
  HostRange(const HostRange&) = delete;
  HostRange& operator=(const HostRange&) = delete;
  void commit(int64_t) override {}
};

}  // namespace

int64_t available_memory([[maybe_unused]] Device device) {
  return YD_BACKEND(device, available_memory(), cuda::available_memory(device.index));
}

class Arena::Block : public Storage {
 public:
  Block(std::shared_ptr<Arena> arena, int64_t offset, int64_t reserved, int64_t nbytes)
      : arena_(std::move(arena)), offset_(offset), reserved_(reserved) {
    data_ = arena_->range_->base() + offset;
    nbytes_ = nbytes;
    device_ = arena_->device_;
  }
  ~Block() override { arena_->release(offset_, reserved_); }

 private:
  std::shared_ptr<Arena> arena_;
  int64_t offset_;
  int64_t reserved_;
};

std::shared_ptr<Arena> Arena::create(int64_t limit, Device device) {
  return std::shared_ptr<Arena>(new Arena(limit > 0 ? limit : available_memory(device), device));
}

Arena::Arena(int64_t limit, Device device) : device_(device), limit_(limit) {
  // Twice the limit in addresses leaves room for fragmentation.
  const int64_t reserved = round_up(std::min(limit, int64_t(1) << 44) * 2, int64_t(1) << 21);
  range_ = YD_BACKEND(device, std::unique_ptr<AddressRange>(new HostRange(reserved)),
                      cuda::reserve_addresses(device.index, reserved));
  limit_ = std::min(limit_, range_->nbytes());
  free_by_offset_.emplace(0, range_->nbytes());
  free_by_size_.emplace(range_->nbytes(), 0);
}

std::shared_ptr<Storage> Arena::allocate(int64_t nbytes) {
  const int64_t unit = alignment_of(device_);
  const int64_t size = std::max(round_up(nbytes + range_->gap(), unit), unit);
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
    if (offset + size > peak_) range_->commit(offset + size);
    free_by_size_.erase(fit);
    free_by_offset_.erase(offset);
    if (free_size > size) {
      free_by_offset_.emplace(offset + size, free_size - size);
      free_by_size_.emplace(free_size - size, offset + size);
    }
    in_use_ += size;
    peak_ = std::max(peak_, offset + size);
    range_->lend(offset, nbytes);
  }
  return std::make_shared<Block>(shared_from_this(), offset, size, nbytes);
}

void Arena::release(int64_t offset, int64_t size) {
  const std::lock_guard lock(mutex_);
  range_->take_back(offset, size);
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

ArenaScope::ArenaScope(std::shared_ptr<Arena> arena) : outer_(current_arenas) {
  if (arena) {
    current_arenas[size_t(arena->device().type)] = std::move(arena);
  } else {
    current_arenas = {};
  }
}

ArenaScope::~ArenaScope() {
  current_arenas = std::move(outer_);
}

std::shared_ptr<Storage> allocate_storage(int64_t nbytes, Device device) {
#ifndef YD_HAVE_CUDA
  if (device.is_cuda()) throw DeviceError("{}: this build has no CUDA", device.str());
#endif
  const auto& arena = current_arenas[size_t(device.type)];
  if (arena) return arena->allocate(nbytes);
  return YD_BACKEND(device, std::shared_ptr<Storage>(std::make_shared<HeapBlock>(nbytes)),
                    cuda::allocate_block(device.index, nbytes));
}

int64_t heap_blocks_taken() {
  return heap_blocks;
}

std::shared_ptr<Storage> allocate_zero_pages(int64_t nbytes) {
  constexpr int64_t kLeast = int64_t(1) << 20;
  if (nbytes < kLeast || current_arenas[size_t(DeviceType::kCpu)]) return nullptr;
  return std::make_shared<ZeroPages>(nbytes);
}

}  // namespace ydistill
