// SPDX-License-Identifier: MIT
// Files that are replaced atomically: completely or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace ydistill {

/// A file being written. Data goes to a temporary file next to the target; commit() syncs it to the
/// disk and renames it over the target. Until then, and after any failure, the target is unchanged
/// and the temporary is removed. A symbolic link is followed, and an existing file's permissions
/// are kept.
class AtomicFile {
 public:
  /// throws FileError if the folder is missing or not writable, or the target is no regular file.
  explicit AtomicFile(std::filesystem::path target);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  /// Appends. throws FileError naming the target and the system's reason (full disk, ...).
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  /// Flushes to the disk and replaces the target; nothing may be written after it.
  /// throws FileError.
  void commit();

 private:
  void discard() noexcept;

  std::filesystem::path target_;     // as named by the caller, for messages
  std::filesystem::path resolved_;   // links followed
  std::filesystem::path temporary_;  // empty once renamed or removed
  int fd_ = -1;
};

/// Removes temporaries that killed processes left in this folder. Only for a folder that no other
/// process writes to. Errors are ignored.
void remove_left_temporaries(const std::filesystem::path& folder);

/// Writes a small file in one call. throws FileError.
void write_file_atomically(const std::filesystem::path& target, std::string_view text);

/// Writes all bytes to an open file descriptor, in as many calls as needed. name: of the file, for
/// messages. throws FileError.
void write_fully(int fd, std::span<const std::byte> bytes, const std::filesystem::path& name);
/// The same for callers with messages of their own: returns 0 or the errno value.
int write_all(int fd, std::span<const std::byte> bytes);

}  // namespace ydistill
