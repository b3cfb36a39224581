// SPDX-License-Identifier: MIT
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/tensor.h>

#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "support/catch.h"

namespace ydistill {
namespace {

std::vector<std::byte*> one_step() {
  std::vector<std::byte*> addresses;
  std::vector<Tensor> live;
  for (int64_t n : {1000, 50, 7000, 3}) {
    live.push_back(Tensor::empty({n}));
    addresses.push_back(live.back().raw());
  }
  live.erase(live.begin() + 1);
  live.push_back(Tensor::empty({40}));
  addresses.push_back(live.back().raw());
  return addresses;
}

#if !defined(__SANITIZE_ADDRESS__)  // it needs terabytes of addresses itself
TEST_CASE("arena: where the system gives fewer addresses the limit is lower and the arena works") {
  std::ifstream statm("/proc/self/statm");
  int64_t pages = 0;
  statm >> pages;
  rlimit before{}, low{};
  REQUIRE(getrlimit(RLIMIT_AS, &before) == 0);
  low = before;
  low.rlim_cur = rlim_t(pages * sysconf(_SC_PAGESIZE) + (int64_t(1) << 30));
  REQUIRE(setrlimit(RLIMIT_AS, &low) == 0);
  constexpr size_t kTooMany = size_t(1) << 35;
  void* const ignored =
      mmap(nullptr, kTooMany, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (ignored != MAP_FAILED) {
    munmap(ignored, kTooMany);
    REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
    YD_SKIP("this system gives more addresses than RLIMIT_AS says");
  }
  {
    const auto arena = Arena::create(kUnlimited);
    CHECK(arena->limit_bytes() <= int64_t(1) << 30);
    CHECK(arena->limit_bytes() >= int64_t(1) << 28);
    const ArenaScope scope(arena);
    const Tensor t = Tensor::full({1 << 20}, 3);
    CHECK(t.at((1 << 20) - 1) == 3);
    CHECK_THROWS_WITH_TEXT(Tensor::empty({int64_t(1) << 30}), OutOfMemoryError,
                           "4096.0 MiB asked for with 4.0 MiB in use, the limit is");
  }
  REQUIRE(setrlimit(RLIMIT_AS, &before) == 0);
}
#endif

TEST_CASE("arena: a step that repeats its requests gets the same addresses") {
  const ArenaScope scope(Arena::create(1 << 24));
  const auto first = one_step();
  CHECK(first == one_step());
  CHECK(first[4] == first[1]);  // the freed block was used again
}

TEST_CASE("arena: freed neighbours merge and the peak stays") {
  const auto arena = Arena::create(1 << 20);
  {
    const ArenaScope scope(arena);
    auto a = Tensor::empty({1024});
    auto b = Tensor::empty({1024});
    auto c = Tensor::empty({1024});
    CHECK(arena->bytes_in_use() == 3 * 4096);
  }
  CHECK(arena->bytes_in_use() == 0);
  CHECK(arena->peak_bytes() == 3 * 4096);
  const ArenaScope scope(arena);
  CHECK(Tensor::empty({3 * 1024}).defined());
  CHECK(arena->peak_bytes() == 3 * 4096);
}

TEST_CASE("arena: a request beyond the limit is refused with both sizes") {
  const ArenaScope scope(Arena::create(1 << 20));
  CHECK_THROWS_WITH_TEXT(Tensor::empty({1 << 20}), OutOfMemoryError,
                         "4.0 MiB asked for with 0.0 MiB in use, the limit is 1.0 MiB");
  CHECK(Tensor::empty({1 << 17}).defined());
}

TEST_CASE("arena: blocks are 64-byte aligned and outlive the scope") {
  Tensor kept;
  {
    const ArenaScope scope(Arena::create(1 << 20));
    const Tensor odd = Tensor::empty({3}, DType::kUInt8);
    kept = Tensor::full({5}, 2.5);
    CHECK(reinterpret_cast<uintptr_t>(kept.raw()) % 64 == 0);
  }
  CHECK(kept.at(4) == 2.5);
}

TEST_CASE("arena: the machine says how much memory is left") {
  CHECK(available_memory() > (1 << 20));
}

}  // namespace
}  // namespace ydistill
