// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/atomic_file.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

constexpr std::string_view kTemporarySuffix = ".tmp";

[[noreturn]] void fail(const std::filesystem::path& file, std::string_view what, int code) {
  std::error_code error;
  throw FileError("{}: cannot {}: {}{}", printable(file.string()), what,
                  std::generic_category().message(code),
                  std::filesystem::exists(file, error) ? " (the file is left as it was)" : "");
}

/// Some file systems cannot sync; that is not treated as a failure.
bool sync(int fd) {
  int result = 0;
  do {
    result = fsync(fd);
  } while (result != 0 && errno == EINTR);
  return result == 0 || errno == EINVAL || errno == ENOTSUP || errno == EROFS;
}

std::filesystem::path follow_links(const std::filesystem::path& target) {
  std::error_code error;
  if (!std::filesystem::is_symlink(target, error)) return target;
  std::filesystem::path resolved = std::filesystem::weakly_canonical(target, error);
  return error ? target : resolved;
}

std::filesystem::path folder_of(const std::filesystem::path& file) {
  return file.has_parent_path() ? file.parent_path() : std::filesystem::path(".");
}

}  // namespace

int write_all(int fd, std::span<const std::byte> bytes) {
  constexpr size_t kChunk = size_t(1) << 30;  // write() takes at most 2 GiB at once
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), std::min(bytes.size(), kChunk));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return errno;
    if (written == 0) return ENOSPC;
    bytes = bytes.subspan(size_t(written));
  }
  return 0;
}

void write_fully(int fd, std::span<const std::byte> bytes, const std::filesystem::path& name) {
  if (const int code = write_all(fd, bytes); code != 0) fail(name, "write", code);
}

AtomicFile::AtomicFile(std::filesystem::path target)
    : target_(std::move(target)), resolved_(follow_links(target_)) {
  struct stat old {};
  const bool replaces = ::stat(resolved_.c_str(), &old) == 0;
  if (replaces && !S_ISREG(old.st_mode)) {
    throw FileError("{}: cannot be replaced: it is a {}, not a regular file",
                    printable(target_.string()), S_ISDIR(old.st_mode) ? "folder" : "special file");
  }
  // Process id and count make the name unique, except for files left by a killed process with the
  // same id: O_EXCL detects these, and the next count is tried.
  static std::atomic<unsigned> count{0};
  constexpr size_t kMostBytes = 200;  // of a name, which may have 255 with what is added
  const std::string name = resolved_.filename().string().substr(0, kMostBytes);
  std::filesystem::path temporary;
  do {
    temporary = folder_of(resolved_) /
                fmt::format(".{}.{}-{}{}", name, getpid(), count++, kTemporarySuffix);
    fd_ = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  } while (fd_ < 0 && errno == EEXIST);
  if (fd_ < 0) fail(target_, "create a file in its folder", errno);
  temporary_ = temporary;
  if (replaces) (void)::fchmod(fd_, old.st_mode & 07777);
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  if (fd_ < 0) throw FileError("{}: written to after it was closed", printable(target_.string()));
  try {
    write_fully(fd_, bytes, target_);
  } catch (...) {
    discard();
    throw;
  }
}

void AtomicFile::commit() {
  if (fd_ < 0) throw FileError("{}: committed after it was closed", printable(target_.string()));
  const auto fail_and_discard = [this](std::string_view what) {
    const int code = errno;
    discard();
    fail(target_, what, code);
  };
  if (!sync(fd_)) fail_and_discard("flush to the disk");
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) fail_and_discard("close");
  if (::rename(temporary_.c_str(), resolved_.c_str()) != 0) fail_and_discard("rename into place");
  temporary_.clear();
  // The rename itself has to reach the disk as well.
  const int folder = ::open(folder_of(resolved_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return;  // a folder that may be written but not read
  const bool synced = sync(folder);
  const int code = errno;
  ::close(folder);
  if (!synced) {
    throw FileError("{}: is replaced, but its folder cannot be flushed to the disk: {}",
                    printable(target_.string()), std::generic_category().message(code));
  }
}

void remove_left_temporaries(const std::filesystem::path& folder) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with('.') && name.ends_with(kTemporarySuffix) && entry.is_regular_file(error)) {
      std::filesystem::remove(entry.path(), error);
    }
  }
}

void write_file_atomically(const std::filesystem::path& target, std::string_view text) {
  AtomicFile file(target);
  file.write(text);
  file.commit();
}

}  // namespace ydistill
