// SPDX-License-Identifier: MIT
// Work of a GPU captured into a graph, as training replays it.
#pragma once

#include <functional>
#include <memory>

namespace ydistill::test {

class CapturedWork {
 public:
  /// Captures what `work` asks of the thread's stream, without doing it. The host must not wait in
  /// it, nor ask for memory that is not there yet.
  explicit CapturedWork(const std::function<void()>& work);
  ~CapturedWork();
  CapturedWork(const CapturedWork&) = delete;
  CapturedWork& operator=(const CapturedWork&) = delete;
  void replay();

 private:
  struct Graph;
  std::unique_ptr<Graph> graph_;
};

}  // namespace ydistill::test
