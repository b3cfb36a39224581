// SPDX-License-Identifier: MIT
// Files that are replaced whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace ydistill {

/// A file in the making. What is written goes to a temporary beside the target; commit() brings it
/// safely to the disk and renames it over the target. Until then, and after any failure, the target
/// stays as it was and the temporary is removed. A symbolic link is followed, and an existing
/// file's permissions are kept.
class AtomicFile {
 public:
  /// throws FileError where the folder is missing or not writable, or the target is no regular
  /// file.
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

/// Removes what processes that were killed while they wrote into this folder left there. Only for a
/// folder that nobody else writes to. What cannot be removed stays.
void remove_left_temporaries(const std::filesystem::path& folder);

/// The whole of a small file at once. throws FileError.
void write_file_atomically(const std::filesystem::path& target, std::string_view text);

/// Writes all bytes to an open file descriptor, however many calls that takes. `name` is what the
/// message calls the file. throws FileError.
void write_fully(int fd, std::span<const std::byte> bytes, const std::filesystem::path& name);
/// The same for callers with words of their own: 0, or the system's reason as errno has it.
int write_all(int fd, std::span<const std::byte> bytes);

}  // namespace ydistill
