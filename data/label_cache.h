// SPDX-License-Identifier: MIT
// Cache of a source's picture sizes and labels between runs, so that headers and label files need
// not be read again. Internal: load_dataset uses it if DataSource::cache_folder is set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <ydistill/data/dataset_reader.h>

namespace ydistill::reading {

/// An entry is identified by the paths, sizes and modification times of the picture and its label
/// file. Pictures with findings are not cached: findings come from the files each time. The cache
/// is one file per source, with a checksum; a malformed file or one of another version counts as
/// empty. Thread-safe.
class LabelCache {
 public:
  /// folder: location of the file; empty: nothing is cached. context: anything else that the labels
  /// depend on, such as the number of names.
  LabelCache(const std::filesystem::path& folder, const DataSource& source,
             const std::string& context);

  /// The current state of the two files; call before they are read. labels: empty for none.
  std::string stamp(const std::filesystem::path& picture,
                    const std::filesystem::path& labels) const;
  /// Fills the report as reading the files would; false if they must be read.
  bool find(const std::filesystem::path& picture, const std::string& stamp, PictureReport& report);
  /// Stores what was read; nothing for a picture that was dropped or has findings.
  void keep(const std::filesystem::path& picture, std::string stamp, const PictureReport& report);
  /// Writes the file, atomically, if something has changed; on failure adds a note with the reason.
  void save(std::vector<std::string>& notes);

 private:
  struct Entry {
    std::string stamp;  ///< of both files
    std::string value;  ///< of the report
    bool is_used = false;
  };
  void read();

  std::filesystem::path file_;
  std::mutex mutex_;  // of all below
  std::unordered_map<std::string, Entry> entries_;
  bool is_changed_ = false;
};

}  // namespace ydistill::reading
