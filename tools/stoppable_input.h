// SPDX-License-Identifier: MIT
// A file or pipe to read from, until somebody wants to stop: a camera that sends nothing keeps
// nobody waiting.
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <string>

namespace ydistill::tools {

class StoppableInput : public std::istream {
 public:
  /// path: "-" for standard input. gives_up: asked before anything is read and while there is
  /// nothing, by the thread that reads; once it is true, the stream is at its end. throws
  /// FileError.
  StoppableInput(const std::string& path, std::function<bool()> gives_up);
  ~StoppableInput() override;
  /// throws FileError where the stream ended because it could not be read. name: for the message.
  void check_was_read(const std::string& name) const;

 private:
  class Buffer;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace ydistill::tools
