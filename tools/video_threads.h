// SPDX-License-Identifier: MIT
// Frames read and written beside the network's work, so that neither waits for a pipe. Five are in
// memory at most: one read, one ready, one looked at, one to be written, one written.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include <ydistill/data/video_stream.h>

namespace ydistill::tools {

/// A frame on its way from one thread to another. Memory goes back the way that frames come.
class FrameSlot {
 public:
  /// Waits until the slot is empty and takes the frame, for the memory of an earlier one. False
  /// once closed.
  bool put(std::vector<uint8_t>& planes);
  /// Waits for a frame. False where the slot is closed and nothing is left.
  bool take(std::vector<uint8_t>& planes);
  /// No frame comes any more, or nobody wants one.
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint8_t> planes_;
  bool is_full_ = false, is_closed_ = false;
};

/// Reads a frame ahead.
class FramesAhead {
 public:
  /// reader: outlives this, and ends where `cancel` asks it to, which the destructor calls.
  FramesAhead(VideoReader& reader, std::function<void()> cancel);
  ~FramesAhead();
  FramesAhead(const FramesAhead&) = delete;
  FramesAhead& operator=(const FramesAhead&) = delete;

  /// As VideoReader::next; what that threw is thrown when its frame's turn comes.
  bool next(std::vector<uint8_t>& planes);

 private:
  std::function<void()> cancel_;
  FrameSlot slot_;
  std::exception_ptr failure_;  // of the thread; read once the slot is closed
  std::thread thread_;
};

/// Writes a frame while the next one is made.
class FramesBehind {
 public:
  /// write: called by a thread, frame after frame. on_failure: by the same, where that throws.
  FramesBehind(std::function<void(const std::vector<uint8_t>&)> write,
               std::function<void()> on_failure);
  ~FramesBehind();
  FramesBehind(const FramesBehind&) = delete;
  FramesBehind& operator=(const FramesBehind&) = delete;

  /// Takes the frame for the memory of an earlier one. Rethrows what `write` threw for one before.
  void add(std::vector<uint8_t>& planes);
  /// Waits until all frames are written. Rethrows what `write` threw.
  void finish();

 private:
  FrameSlot slot_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace ydistill::tools
