// SPDX-License-Identifier: MIT
// A folder that one process at a time works in.
#pragma once

#include <filesystem>

namespace ydistill {

/// Held until it is destroyed or the process ends, however it ends.
class FolderLock {
 public:
  /// throws FileError where the folder cannot be opened, or is held: by a process or by another
  /// lock of this one. A file system without locks gives a lock that holds nothing.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace ydistill
