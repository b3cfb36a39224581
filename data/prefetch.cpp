// SPDX-License-Identifier: MIT
#include <ydistill/data/prefetch.h>

#include <chrono>
#include <cstring>
#include <system_error>
#include <utility>

#include <ydistill/tensor/arena.h>

namespace ydistill {
namespace {

/// Batches being made or waiting; more would only cost memory.
constexpr size_t kAhead = size_t(kBatchesAlive - 1);

/// Moves the filled pictures to the front and drops the others.
void leave_out(Batch& batch, const std::vector<uint8_t>& is_filled,
               std::vector<std::vector<Label>>& labels) {
  std::vector<size_t> kept;
  for (size_t i = 0; i < is_filled.size(); ++i) {
    if (is_filled[i]) kept.push_back(i);
  }
  if (kept.size() == is_filled.size()) return;
  const Shape& shape = batch.images.shape();
  const Tensor images =
      Tensor::empty({int64_t(kept.size()), shape[1], shape[2], shape[3]}, DType::kUInt8);
  const size_t picture_bytes = size_t(batch.images.nbytes() / shape[0]);
  for (size_t to = 0; to < kept.size(); ++to) {
    const size_t from = kept[to];
    std::memcpy(images.raw() + to * picture_bytes, batch.images.raw() + from * picture_bytes,
                picture_bytes);
    if (to == from) continue;
    batch.labelled[to] = batch.labelled[from];
    batch.indices[to] = batch.indices[from];
    if (!batch.letterboxes.empty()) batch.letterboxes[to] = batch.letterboxes[from];
    labels[to] = std::move(labels[from]);
  }
  batch.images = images;
  batch.labelled.resize(kept.size());
  batch.indices.resize(kept.size());
  if (!batch.letterboxes.empty()) batch.letterboxes.resize(kept.size());
  labels.resize(kept.size());
}

Tensor targets_of(const std::vector<std::vector<Label>>& labels) {
  size_t count = 0;
  for (const auto& list : labels) count += list.size();
  const Tensor targets = Tensor::empty({int64_t(count), 6});
  float* row = targets.data<float>();
  for (size_t slot = 0; slot < labels.size(); ++slot) {
    for (const Label& label : labels[slot]) {
      const double columns[6] = {double(slot), double(label.class_id), label.cx, label.cy, label.w,
                                 label.h};
      for (const double column : columns) *row++ = float(column);
    }
  }
  return targets;
}

}  // namespace

Prefetcher::Prefetcher(BatchMaker& maker, int64_t begin, int64_t end, int workers)
    : maker_(maker), end_(end), next_batch_(begin) {
  try {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    // Fewer threads make the same batches; without threads, next() makes them.
  }
}

Prefetcher::~Prefetcher() {
  {
    const std::lock_guard lock(mutex_);
    stops_ = true;
  }
  work_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::unique_ptr<Prefetcher::Pending> Prefetcher::open_next() {
  auto pending = std::make_unique<Pending>();
  try {
    pending->batch = maker_.open(next_batch_);
    pending->labels.resize(pending->batch.indices.size());
    pending->is_filled.resize(pending->batch.indices.size());
  } catch (...) {
    pending->failure = std::current_exception();
    pending->labels.clear();
  }
  ++next_batch_;
  return pending;
}

void Prefetcher::fill_slot(Pending& pending, int64_t slot) {
  pending.is_filled[size_t(slot)] =
      maker_.fill(pending.batch, slot, pending.labels[size_t(slot)]) ? 1 : 0;
}

/// The next picture to make, with the lock held; null if all are made or enough batches are ahead.
Prefetcher::Pending* Prefetcher::claim(int64_t& slot) {
  for (const auto& pending : pending_) {
    if (pending->next_slot < pending->slots()) {
      slot = pending->next_slot++;
      return pending.get();
    }
  }
  if (next_batch_ >= end_ || pending_.size() >= kAhead) return nullptr;
  pending_.push_back(open_next());
  Pending* const opened = pending_.back().get();
  if (opened->slots() == 0) {  // opening failed: nothing to make, next() throws the reason
    done_.notify_all();
    return claim(slot);
  }
  slot = opened->next_slot++;
  if (opened->slots() > 1) work_.notify_all();
  return opened;
}

void Prefetcher::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    int64_t slot = 0;
    Pending* pending = nullptr;
    try {
      work_.wait(lock, [&] { return stops_ || (pending = claim(slot)) != nullptr; });
    } catch (...) {  // no memory for another batch: those already begun are the last
      opening_failure_ = std::current_exception();
      next_batch_ = end_;
      done_.notify_all();
      continue;
    }
    if (stops_) return;
    lock.unlock();
    std::exception_ptr failure;
    try {
      fill_slot(*pending, slot);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    if (failure && !pending->failure) pending->failure = failure;
    if (++pending->slots_done == pending->slots()) done_.notify_all();
  }
}

std::unique_ptr<Prefetcher::Pending> Prefetcher::make_next() {
  if (next_batch_ >= end_) return nullptr;
  std::unique_ptr<Pending> pending = open_next();
  try {
    for (int64_t slot = 0; slot < pending->slots(); ++slot) fill_slot(*pending, slot);
  } catch (...) {
    pending->failure = std::current_exception();
  }
  return pending;
}

std::unique_ptr<Prefetcher::Pending> Prefetcher::await_next() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [&] {
    return is_at_end() ||
           (!pending_.empty() && pending_.front()->slots_done == pending_.front()->slots());
  });
  if (is_at_end()) {
    if (!opening_failure_) return nullptr;
    has_failed_ = true;
    std::rethrow_exception(opening_failure_);
  }
  std::unique_ptr<Pending> pending = std::move(pending_.front());
  pending_.pop_front();
  lock.unlock();
  work_.notify_all();
  return pending;
}

bool Prefetcher::next(Batch& batch) {
  batch = Batch();  // freed before another batch is opened: kBatchesAlive includes it
  if (has_failed_) return false;
  const ArenaScope heap(nullptr);
  const auto start = std::chrono::steady_clock::now();
  const std::unique_ptr<Pending> pending = threads_.empty() ? make_next() : await_next();
  seconds_waited_ +=
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!pending) return false;
  if (pending->failure) {
    has_failed_ = true;
    std::rethrow_exception(pending->failure);
  }
  leave_out(pending->batch, pending->is_filled, pending->labels);
  batch = std::move(pending->batch);
  batch.targets = targets_of(pending->labels);
  return true;
}

}  // namespace ydistill
