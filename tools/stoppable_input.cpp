// SPDX-License-Identifier: MIT
#include <ydistill/tools/stoppable_input.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <streambuf>
#include <system_error>
#include <utility>
#include <vector>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill::tools {

class StoppableInput::Buffer : public std::streambuf {
 public:
  Buffer(int file, std::function<bool()> gives_up) : file_(file), gives_up_(std::move(gives_up)) {}
  ~Buffer() override {
    if (file_ != STDIN_FILENO) ::close(file_);
  }
  /// The errno that ended the stream, or 0.
  int error() const { return error_; }

 protected:
  int_type underflow() override {
    const size_t count = read_some(bytes_.data(), bytes_.size());
    setg(bytes_.data(), bytes_.data(), bytes_.data() + count);
    return count == 0 ? traits_type::eof() : traits_type::to_int_type(bytes_[0]);
  }

  std::streamsize xsgetn(char* to, std::streamsize wanted) override {
    const auto buffered = std::min<std::streamsize>(wanted, egptr() - gptr());
    std::memcpy(to, gptr(), size_t(buffered));
    gbump(int(buffered));
    std::streamsize have = buffered;
    while (have < wanted) {
      const size_t count = read_some(to + have, size_t(wanted - have));
      if (count == 0) break;
      have += std::streamsize(count);
    }
    return have;
  }

 private:
  /// Returns 0 at the end, on errors, and if gives_up_() is true.
  size_t read_some(char* to, size_t count) {
    constexpr int kPatienceMs = 50;
    while (!gives_up_()) {
      pollfd waiting{file_, POLLIN, 0};
      const int ready = ::poll(&waiting, 1, kPatienceMs);
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
      const ssize_t got = ::read(file_, to, count);
      if (got >= 0) return size_t(got);
      if (errno == EINTR || errno == EAGAIN) continue;
      error_ = errno;
      return 0;
    }
    return 0;
  }

  int file_;
  std::atomic<int> error_ = 0;
  std::function<bool()> gives_up_;
  std::vector<char> bytes_ = std::vector<char>(size_t(1) << 16);
};

StoppableInput::StoppableInput(const std::string& path, std::function<bool()> gives_up)
    : std::istream(nullptr) {
  int file = STDIN_FILENO;
  if (path != "-") {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw FileError("{}: no such file, or not readable", printable(path));
  }
  buffer_ = std::make_unique<Buffer>(file, std::move(gives_up));
  rdbuf(buffer_.get());
}

StoppableInput::~StoppableInput() = default;

void StoppableInput::check_was_read(const std::string& name) const {
  if (const int error = buffer_->error(); error != 0) {
    throw FileError("{}: cannot be read: {}", name, std::generic_category().message(error));
  }
}

}  // namespace ydistill::tools
