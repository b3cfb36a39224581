// SPDX-License-Identifier: MIT
// Reads zip archives, with limits, by libzip; without it (YDISTILL_PT=OFF) the constructor throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace ydistill {

/// A zip bomb is a small file that unpacks to a huge one; these limits reject it before memory is
/// allocated. Weights hardly compress, so valid archives stay far below them.
struct ZipLimits {
  int64_t max_entries = 200'000;
  int64_t max_entry_bytes = int64_t(4) << 30;
  int64_t max_ratio = 100;                 ///< unpacked : archive size, over all reads
  int64_t free_bytes = int64_t(64) << 20;  ///< may be unpacked regardless of the ratio
};

class ZipArchive {
 public:
  /// throws FileError: missing, not a zip archive (naming what it is instead), truncated.
  explicit ZipArchive(const std::filesystem::path& path, const ZipLimits& limits = {});
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  /// The archive's path, fit for messages.
  const std::string& name() const { return name_; }
  /// Names of all entries, in the archive's order.
  const std::vector<std::string>& entries() const { return entries_; }
  bool has(const std::string& entry) const;
  /// Unpacked size as declared. throws FileError if there is no such entry.
  int64_t size(const std::string& entry) const;
  /// Unpacks an entry and checks its length and checksum. throws FileError naming archive, entry
  /// and sizes.
  std::vector<std::byte> read(const std::string& entry);

 private:
  struct Handle;
  std::string name_;
  ZipLimits limits_;
  int64_t file_bytes_ = 0;
  int64_t unpacked_bytes_ = 0;  // of all reads so far
  std::vector<std::string> entries_;
  std::unique_ptr<Handle> handle_;
};

}  // namespace ydistill
