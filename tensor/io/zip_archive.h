// SPDX-License-Identifier: MIT
// Reading zip archives, with bounds. Built on libzip; without it (YDISTILL_PT=OFF) the constructor
// throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace ydistill {

/// A zip bomb is a small file that unpacks to a huge one; these bounds refuse it before memory is
/// asked for. Weights hardly compress, so no honest archive comes near.
struct ZipLimits {
  int64_t max_entries = 200'000;
  int64_t max_entry_bytes = int64_t(4) << 30;
  int64_t max_ratio = 100;                 ///< unpacked : archive, of all that is read
  int64_t free_bytes = int64_t(64) << 20;  ///< that may be unpacked whatever the ratio
};

class ZipArchive {
 public:
  /// throws FileError: missing, not a zip archive (saying what it is instead), cut short.
  explicit ZipArchive(const std::filesystem::path& path, const ZipLimits& limits = {});
  ~ZipArchive();
  ZipArchive(const ZipArchive&) = delete;
  ZipArchive& operator=(const ZipArchive&) = delete;

  /// The archive's path, fit for messages.
  const std::string& name() const { return name_; }
  /// Names of all entries, in the archive's order.
  const std::vector<std::string>& entries() const { return entries_; }
  bool has(const std::string& entry) const;
  /// Unpacked size as declared. throws FileError where there is no such entry.
  int64_t size(const std::string& entry) const;
  /// Unpacks an entry and checks it: its length and checksum. throws FileError naming archive,
  /// entry and sizes.
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
