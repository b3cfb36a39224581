// SPDX-License-Identifier: MIT
#include <ydistill/tools/video_threads.h>

#include <utility>

namespace ydistill::tools {

bool FrameSlot::put(std::vector<uint8_t>& planes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !is_full_ || is_closed_; });
  if (is_closed_) return false;
  planes_.swap(planes);
  is_full_ = true;
  changed_.notify_all();
  return true;
}

bool FrameSlot::take(std::vector<uint8_t>& planes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return is_full_ || is_closed_; });
  if (!is_full_) return false;
  planes_.swap(planes);
  is_full_ = false;
  changed_.notify_all();
  return true;
}

void FrameSlot::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  changed_.notify_all();
}

FramesAhead::FramesAhead(VideoReader& reader, std::function<void()> cancel)
    : cancel_(std::move(cancel)), thread_([this, &reader] {
        try {
          std::vector<uint8_t> planes;
          while (reader.next(planes) && slot_.put(planes)) {
          }
        } catch (...) {
          failure_ = std::current_exception();
        }
        slot_.close();
      }) {}

FramesAhead::~FramesAhead() {
  cancel_();
  slot_.close();
  thread_.join();
}

bool FramesAhead::next(std::vector<uint8_t>& planes) {
  if (slot_.take(planes)) return true;
  if (failure_) std::rethrow_exception(failure_);
  return false;
}

FramesBehind::FramesBehind(std::function<void(const std::vector<uint8_t>&)> write,
                           std::function<void()> on_failure)
    : thread_([this, write = std::move(write), on_failure = std::move(on_failure)] {
        try {
          std::vector<uint8_t> planes;
          while (slot_.take(planes)) write(planes);
        } catch (...) {
          failure_ = std::current_exception();
          on_failure();
        }
        slot_.close();
      }) {}

FramesBehind::~FramesBehind() {
  slot_.close();
  if (thread_.joinable()) thread_.join();
}

void FramesBehind::add(std::vector<uint8_t>& planes) {
  if (!slot_.put(planes)) finish();
}

void FramesBehind::finish() {
  slot_.close();
  if (thread_.joinable()) thread_.join();
  if (failure_) std::rethrow_exception(failure_);
}

}  // namespace ydistill::tools
