// SPDX-License-Identifier: MIT
// Work of the thread's stream recorded once and replayed as a whole, without any CUDA header.
#pragma once

#include <memory>
#include <utility>

namespace ydistill::cuda {

/// A CUDA graph. While it is captured nothing may be allocated outside an arena, copied from or to
/// the CPU, or waited for.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Records what f() puts on the thread's stream, without running it. Replaces what was recorded
  /// before; where f() throws, that stays. throws LibraryError.
  template <class F>
  void capture(F&& f) {
    begin();
    try {
      std::forward<F>(f)();
    } catch (...) {
      abandon();
      throw;
    }
    end();
  }
  /// Runs the recorded work, in the order of the thread's stream. throws LibraryError; ValueError
  /// where nothing was recorded.
  void launch();
  bool captured() const { return exec_ != nullptr; }

 private:
  void begin();
  void abandon();
  void end();

  struct Exec;
  std::unique_ptr<Exec> exec_;
};

}  // namespace ydistill::cuda
