// SPDX-License-Identifier: MIT
// What was read of a source's pictures and label files, kept between runs: headers need not be
// opened and labels not be parsed again. Not for users: load_dataset opens it where
// DataSource::cache_folder is set.
#pragma once

#include <cstdint>
#include <filesystem>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include <ydistill/data/dataset_reader.h>

namespace ydistill::reading {

/// A picture with its labels is known by the paths, sizes and times of change of both its files,
/// and only kept where nothing was wrong with it: findings come anew from the files each time. The
/// cache is one file a source, with a checksum; what is malformed or of another version counts as
/// empty. Threads share one.
class LabelCache {
 public:
  /// folder: where the file is or will be; empty: nothing is kept. context: what else the labels
  /// depend on, as the number of names.
  LabelCache(const std::filesystem::path& folder, const DataSource& source,
             const std::string& context);

  /// What the two files look like now; to be taken before they are read. labels: empty for none.
  std::string stamp(const std::filesystem::path& picture,
                    const std::filesystem::path& labels) const;
  /// Fills the report as reading the files would; false where they must be read.
  bool find(const std::filesystem::path& picture, const std::string& stamp, PictureReport& report);
  /// Keeps what was read.
  void keep(const std::filesystem::path& picture, std::string stamp, const PictureReport& report);
  /// Writes the file where something has changed, whole or not at all; a note says why it could
  /// not.
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
