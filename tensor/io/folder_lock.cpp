// SPDX-License-Identifier: MIT
#include <ydistill/tensor/io/folder_lock.h>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {

FolderLock::FolderLock(const std::filesystem::path& folder)
    : fd_(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
  if (fd_ < 0) {
    throw FileError("{}: cannot be opened: {}", printable(folder.string()),
                    std::generic_category().message(errno));
  }
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return;
  ::close(std::exchange(fd_, -1));
  throw FileError("{}: another process is working in this folder", printable(folder.string()));
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderLock& FolderLock::operator=(FolderLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

}  // namespace ydistill
