// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/memory.h>

#include <sys/mman.h>

#include <cstring>
#include <map>

#include <cuda_runtime.h>

namespace ydistill::cuda {
namespace {

class EmulatedRange : public AddressRange {
 public:
  explicit EmulatedRange(int64_t nbytes) {
    nbytes_ = nbytes;
    gap_ = 256;
    base_ = static_cast<std::byte*>(mmap(nullptr, size_t(nbytes), PROT_NONE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0));
  }
  ~EmulatedRange() override {
    count_allocated(-committed_);
    cuda_emulator::allow_use(base_, size_t(committed_));
    munmap(base_, size_t(nbytes_));
  }
  EmulatedRange(const EmulatedRange&) = delete;
  EmulatedRange& operator=(const EmulatedRange&) = delete;
  void commit(int64_t end) override {
    mprotect(base_, size_t((end + 4095) / 4096 * 4096), PROT_READ | PROT_WRITE);
    if (end <= committed_) return;
    count_allocated(end - committed_);
    cuda_emulator::forbid_use(base_ + committed_, size_t(end - committed_));
    committed_ = end;
  }

  // Blocks of a captured graph come and go whenever it is launched.
  void lend(int64_t begin, int64_t nbytes) override {
    captures_[begin] = cuda_emulator::capture_number();
    cuda_emulator::enqueue([at = base_ + begin, nbytes] {
      cuda_emulator::allow_use(at, size_t(nbytes));
      std::memset(at, cuda_emulator::kUnwritten, size_t(nbytes));
    });
  }
  void take_back(int64_t begin, int64_t nbytes) override {
    const auto close = [at = base_ + begin, nbytes] {
      cuda_emulator::forbid_use(at, size_t(nbytes));
    };
    if (captures_[begin] == cuda_emulator::capture_number()) {
      cuda_emulator::enqueue(close);
    } else {
      close();
    }
  }

 private:
  int64_t committed_ = 0;
  std::map<int64_t, int> captures_;  // in which a block was lent, by where it begins; 0: none
};

}  // namespace

std::unique_ptr<AddressRange> reserve_addresses(int, int64_t nbytes) {
  return std::make_unique<EmulatedRange>(nbytes);
}

}  // namespace ydistill::cuda
