// SPDX-License-Identifier: MIT
// The pictures of a dataset, decoded and resized, cached in memory up to a budget and, if
// requested, beyond that on disk. Thread-safe. Internal to the loaders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include <ydistill/data/dataset.h>
#include <ydistill/data/disk_pictures.h>
#include <ydistill/data/image.h>
#include <ydistill/data/resize.h>

namespace ydistill {

class PictureStore {
 public:
  /// disk_folder: where pictures beyond the budget are kept, decoded, in an unlinked file; empty:
  /// they are not cached. throws FileError if no file can be created there.
  PictureStore(std::shared_ptr<const Dataset> dataset, int64_t budget_bytes,
               const std::filesystem::path& disk_folder = {});

  /// Picture `index` at this size; null, and a finding, if it cannot be read. Every call for a
  /// picture must have the same size.
  std::shared_ptr<const Image> load(int64_t index, int64_t width, int64_t height,
                                    Interpolation interpolation);

  std::vector<Finding> findings() const;
  /// In memory and on disk.
  int64_t cached_bytes() const;

 private:
  const std::shared_ptr<const Dataset> dataset_;
  const int64_t budget_bytes_;
  const std::unique_ptr<DiskPictures> disk_;  // null: none
  mutable std::mutex mutex_;                  // of all below
  std::vector<std::shared_ptr<const Image>> kept_;
  int64_t kept_bytes_ = 0;
  std::map<int64_t, Finding> unreadable_;  // by index, so that the order is not the threads'
};

}  // namespace ydistill
