// SPDX-License-Identifier: MIT
// Batches made ahead by threads and handed out in order. Not for users: the loaders own it.
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

/// What a loader does for one batch. open() is called under a lock, fill() by several threads at
/// once, each for another picture.
class BatchMaker {
 public:
  virtual ~BatchMaker() = default;
  /// The batch with `images` allocated, where it has any, and all lists of length N; no targets
  /// yet.
  virtual Batch open(int64_t batch_number) = 0;
  /// Writes picture `slot` and what belongs to it, and its labels as fractions of the input.
  /// Returns false where the picture is to be left out of the batch.
  virtual bool fill(Batch& batch, int64_t slot, std::vector<Label>& labels) = 0;
};

/// Batches [begin, end) of a maker, which must outlive this. With no workers they are made inside
/// next(). The destructor stops the threads after the picture each is at.
class Prefetcher {
 public:
  Prefetcher(BatchMaker& maker, int64_t begin, int64_t end, int workers);
  ~Prefetcher();
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  /// False at the end, with an empty batch. What the batch held goes first. What a worker threw is
  /// thrown when its batch's turn comes, and ends it all; so does memory that is not there for
  /// another batch, after those that were begun.
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

  std::mutex mutex_;  // of all below
  std::condition_variable work_, done_;
  std::deque<std::unique_ptr<Pending>> pending_;
  int64_t next_batch_;
  std::exception_ptr opening_failure_;  // why there is no batch after pending_
  bool stops_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace ydistill
