// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/memory.h>

#include <sys/mman.h>

namespace ydistill::cuda {
namespace {

class EmulatedRange : public AddressRange {
 public:
  explicit EmulatedRange(int64_t nbytes) {
    nbytes_ = nbytes;
    base_ = static_cast<std::byte*>(mmap(nullptr, size_t(nbytes), PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  ~EmulatedRange() override {
    count_allocated(-committed_);
    munmap(base_, size_t(nbytes_));
  }
  EmulatedRange(const EmulatedRange&) = delete;
  EmulatedRange& operator=(const EmulatedRange&) = delete;
  void commit(int64_t end) override {
    mprotect(base_, size_t((end + 4095) / 4096 * 4096), PROT_READ | PROT_WRITE);
    if (end <= committed_) return;
    count_allocated(end - committed_);
    committed_ = end;
  }

 private:
  int64_t committed_ = 0;
};

}  // namespace

std::unique_ptr<AddressRange> reserve_addresses(int, int64_t nbytes) {
  return std::make_unique<EmulatedRange>(nbytes);
}

}  // namespace ydistill::cuda
