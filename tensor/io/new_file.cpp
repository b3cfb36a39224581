// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/new_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <system_error>
#include <utility>
#include <vector>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/atomic_file.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

/// An open file; after a failed call errno says what went wrong.
class OpenFile {
 public:
  OpenFile(const std::filesystem::path& path, int flags, mode_t mode = 0666)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC, mode)) {}
  ~OpenFile() { close(); }
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  /// Some file systems report only here that the disk is full.
  bool close() {
    const int fd = std::exchange(fd_, -1);
    return fd < 0 || ::close(fd) == 0 || errno == EINTR;
  }
  bool write(std::string_view bytes) {
    const int code = write_all(fd_, std::as_bytes(std::span(bytes)));
    if (code != 0) errno = code;
    return code == 0;
  }
  ssize_t read(std::vector<char>& piece) {
    ssize_t count = 0;
    do {
      count = ::read(fd_, piece.data(), piece.size());
    } while (count < 0 && errno == EINTR);
    return count;
  }

 private:
  int fd_;
};

constexpr int kNewFile = O_WRONLY | O_CREAT | O_EXCL;

std::string reason(int code) {
  return std::generic_category().message(code);
}

}  // namespace

void write_new_file(const std::filesystem::path& file, std::string_view text) {
  OpenFile out(file, kNewFile);
  const bool is_new = out.is_open();
  if (is_new && out.write(text) && out.close()) return;
  const int code = errno;
  if (is_new) ::unlink(file.c_str());
  throw FileError("{}: cannot be written: {}", printable(file.string()), reason(code));
}

void copy_to_new_file(const std::filesystem::path& from, const std::filesystem::path& to) {
  const auto fail = [&](int code) {
    throw FileError("{}: cannot be copied to {}: {}", printable(from.string()),
                    printable(to.string()), reason(code));
  };
  OpenFile in(from, O_RDONLY);
  struct stat status {};
  if (!in.is_open() || ::fstat(in.fd(), &status) != 0) fail(errno);
  OpenFile out(to, kNewFile);
  if (!out.is_open()) fail(errno);
  std::vector<char> piece(size_t(1) << 18);
  ssize_t count = 0;
  bool is_written = true;
  while (is_written && (count = in.read(piece)) > 0) {
    is_written = out.write({piece.data(), size_t(count)});
  }
  if (is_written && count == 0) {
    (void)::fchmod(out.fd(), status.st_mode & 07777);  // some file systems have no permissions
    if (out.close()) return;
  }
  const int code = errno;
  ::unlink(to.c_str());
  fail(code);
}

}  // namespace ydistill
