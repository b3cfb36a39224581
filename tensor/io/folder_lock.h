// SPDX-License-Identifier: MIT
// A lock on a folder that only one process may use at a time.
#pragma once

#include <filesystem>

namespace ydistill {

/// Held until it is destroyed or the process ends in any way.
class FolderLock {
 public:
  /// throws FileError if the folder cannot be opened or is already locked, by another process or by
  /// another FolderLock of this one. On a file system without locks this has no effect.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&& other) noexcept;

 private:
  int fd_ = -1;
};

}  // namespace ydistill
