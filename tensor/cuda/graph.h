// SPDX-License-Identifier: MIT
// Streams, events, captured graphs and pinned memory, without any CUDA header: each class owns one
// handle of the CUDA runtime.
#pragma once

#include <functional>
#include <memory>

#include <ydistill/tensor/tensor.h>

namespace ydistill::cuda {

/// A separate stream, for work that overlaps the work of the thread's stream.
class Stream {
 public:
  Stream();
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

 private:
  friend class StreamScope;
  void* handle_ = nullptr;
};

/// While it lives, this thread's work goes to `stream`.
class StreamScope {
 public:
  explicit StreamScope(const Stream& stream);
  ~StreamScope();
  StreamScope(const StreamScope&) = delete;
  StreamScope& operator=(const StreamScope&) = delete;

 private:
  void* outer_;
};

/// A point in a stream's work.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  /// Marks all work given to the thread's stream so far.
  void record();
  /// Work given to the thread's stream from now on waits for the mark.
  void hold_stream() const;
  /// The host waits for the mark; returns at once if nothing was ever recorded.
  void wait() const;

 private:
  void* handle_ = nullptr;
};

/// GPU work that is captured once and can then be started as a whole, again and again.
class Graph {
 public:
  Graph() = default;
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  bool captured() const { return handle_ != nullptr; }
  /// Records what `work` gives to the thread's stream, and to streams that join it; nothing runs.
  /// `work` must neither wait for the GPU nor allocate GPU memory. If it throws, nothing is
  /// captured and the exception is passed on.
  void capture(const std::function<void()>& work);
  /// Starts the captured work on the thread's stream.
  void launch() const;

 private:
  void* handle_ = nullptr;
};

/// Pinned host memory, which the GPU can copy from and to by itself. throws OutOfMemoryError.
std::shared_ptr<Storage> allocate_pinned(int64_t nbytes);
/// Copies between pinned host memory and a GPU, or on a GPU, in the order of the thread's stream
/// and without waiting. Same shape and dtype. throws ShapeError, DTypeError.
void copy_in_order(const Tensor& to, const Tensor& from);
/// Waits until the thread's stream has done all its work.
void wait_for_gpu();

}  // namespace ydistill::cuda
