// SPDX-License-Identifier: MIT
// Batches prepared ahead by threads and returned in order. Internal to the loaders.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include <ydistill/data/loader.h>

namespace ydistill {

/// A loader's work for one batch. open() is called under a lock, fill() concurrently by several
/// threads, each for another picture.
class BatchMaker {
 public:
  virtual ~BatchMaker() = default;
  /// The batch with `images` allocated, if it has any, and all lists of length N; without targets.
  virtual Batch open(int64_t batch_number) = 0;
  /// Writes picture `slot` with its entries in the lists, and its labels as fractions of the input.
  /// Returns false if the picture is to be left out of the batch.
  virtual bool fill(Batch& batch, int64_t slot, std::vector<Label>& labels) = 0;
};

/// Batches [begin, end) of a maker, which must outlive this. Without workers they are made inside
/// next(). The destructor stops each thread after its current picture.
class Prefetcher {
 public:
  Prefetcher(BatchMaker& maker, int64_t begin, int64_t end, int workers);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// False at the end, with an empty batch. The previous content of `batch` is released first. An
  /// exception of a worker is rethrown when its batch is due, and ends the sequence. If memory for
  /// another batch is missing, that is thrown after the batches already begun.
  bool next(Batch& batch);
  double seconds_waited() const { return seconds_waited_; }

 private:
  struct Pending {
    Batch batch;
    std::vector<std::vector<Label>> labels;
    std::vector<uint8_t> is_filled;
    int64_t next_slot = 0;
    int64_t slots_done = 0;
    std::exception_ptr failure;

    int64_t slots() const { return int64_t(labels.size()); }
  };

  std::unique_ptr<Pending> open_next();
  void fill_slot(Pending& pending, int64_t slot);
  std::unique_ptr<Pending> make_next();
  std::unique_ptr<Pending> await_next();
  void work();
  Pending* claim(int64_t& slot);
  bool is_at_end() const { return pending_.empty() && next_batch_ >= end_; }

  BatchMaker& maker_;
  const int64_t end_;
  double seconds_waited_ = 0;
  bool has_failed_ = false;

  std::mutex mutex_;  // guards all members below
  std::condition_variable work_, done_;
  std::deque<std::unique_ptr<Pending>> pending_;
  int64_t next_batch_;
  std::exception_ptr opening_failure_;  // why there is no batch after pending_
  bool stops_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ydistill
