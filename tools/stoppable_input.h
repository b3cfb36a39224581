// SPDX-License-Identifier: MIT
// A file or pipe whose reading can be stopped at any time, even while a camera sends nothing.
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <string>

namespace ydistill::tools {

class StoppableInput : public std::istream {
 public:
  /// path: "-" for standard input. gives_up: called by the reading thread before every read and
  /// while there is no data; once it returns true, the stream is at its end. throws FileError.
  StoppableInput(const std::string& path, std::function<bool()> gives_up);
  ~StoppableInput() override;
  /// throws FileError if the stream ended because of a read error. name: for the message.
  void check_was_read(const std::string& name) const;

 private:
  class Buffer;
  std::unique_ptr<Buffer> buffer_;
};

}  // namespace ydistill::tools
