// SPDX-License-Identifier: MIT
// Threads that read and write frames while the network works, so that it never waits for a pipe. At
// most five frames are in memory: being read, ready, in the network, to be written, being written.
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

/// Passes a frame from one thread to another; the memory of earlier frames is passed back.
class FrameSlot {
 public:
  /// Waits until the slot is empty, then swaps the frame in; `planes` gets the memory of an earlier
  /// one. False once closed.
  bool put(std::vector<uint8_t>& planes);
  /// Waits for a frame. False if the slot is closed and empty.
  bool take(std::vector<uint8_t>& planes);
  /// Called when no more frames come, or none are wanted.
  void close();

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint8_t> planes_;
  bool is_full_ = false, is_closed_ = false;
};

/// Reads one frame ahead.
class FramesAhead {
 public:
  /// reader: must outlive this. cancel: makes the reader end; called by the destructor.
  FramesAhead(VideoReader& reader, std::function<void()> cancel);
  ~FramesAhead();
  FramesAhead(const FramesAhead&) = delete;
  FramesAhead& operator=(const FramesAhead&) = delete;

  /// Like VideoReader::next; what that threw is thrown when its frame would be next.
  bool next(std::vector<uint8_t>& planes);

 private:
  std::function<void()> cancel_;
  FrameSlot slot_;
  std::exception_ptr failure_;  // of the thread; read once the slot is closed
  std::thread thread_;
};

/// Writes a frame while the next one is computed.
class FramesBehind {
 public:
  /// write: called by a separate thread for each frame. on_failure: called by it if write throws.
  FramesBehind(std::function<void(const std::vector<uint8_t>&)> write,
               std::function<void()> on_failure);
  ~FramesBehind();
  FramesBehind(const FramesBehind&) = delete;
  FramesBehind& operator=(const FramesBehind&) = delete;

  /// Takes the frame; `planes` gets the memory of an earlier one. Rethrows an earlier error of
  /// `write`.
  void add(std::vector<uint8_t>& planes);
  /// Waits until all frames are written. Rethrows what `write` threw.
  void finish();

 private:
  FrameSlot slot_;
  std::exception_ptr failure_;
  std::thread thread_;
};

}  // namespace ydistill::tools
