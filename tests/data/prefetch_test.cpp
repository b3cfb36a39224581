// SPDX-License-Identifier: MIT
// What becomes of a training whose loader finds no memory: this file replaces operator new for the
// whole test program, and lets it fail in the loader's threads while a test asks for that.
#include <ydistill/data/prefetch.h>

#include <atomic>
#include <cstdlib>
#include <new>

#include "support/catch.h"

namespace {

std::atomic<bool> no_memory_for_threads = false;
thread_local bool is_main_thread = false;

}  // namespace

void* operator new(std::size_t bytes) {
  if (no_memory_for_threads && !is_main_thread) throw std::bad_alloc();
  if (void* memory = std::malloc(bytes > 0 ? bytes : 1)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

namespace ydistill {
namespace {

/// Batches of one picture each; once the picture of `last_good` is made, threads get no memory.
class StarvedMaker : public BatchMaker {
 public:
  explicit StarvedMaker(int64_t last_good) : last_good_(last_good) {
    is_main_thread = true;
    no_memory_for_threads = last_good < 0;
  }
  ~StarvedMaker() override { no_memory_for_threads = false; }
  Batch open(int64_t number) override {
    Batch batch;
    batch.number = number;
    batch.indices = {number};
    batch.labelled = {1};
    batch.images = Tensor::empty({1, 1, 1, 3}, DType::kUInt8);
    return batch;
  }
  bool fill(Batch& batch, int64_t, std::vector<Label>&) override {
    if (batch.number == last_good_) no_memory_for_threads = true;
    return true;
  }

 private:
  const int64_t last_good_;
};

}  // namespace

TEST_CASE("prefetcher: no memory for the first batch is thrown by next and ends no process") {
  for (const int workers : {1, 3}) {
    StarvedMaker maker(-1);
    Prefetcher batches(maker, 0, 5, workers);
    Batch batch;
    CHECK_THROWS_AS(batches.next(batch), std::bad_alloc);
    CHECK_FALSE(batches.next(batch));
  }
}

TEST_CASE("prefetcher: batches begun before memory ran out are handed out first") {
  StarvedMaker maker(0);
  Prefetcher batches(maker, 0, 5, 1);
  Batch batch;
  REQUIRE(batches.next(batch));
  CHECK(batch.number == 0);
  CHECK_THROWS_AS(batches.next(batch), std::bad_alloc);
  CHECK_FALSE(batches.next(batch));
}

}  // namespace ydistill
