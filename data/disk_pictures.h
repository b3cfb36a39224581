// SPDX-License-Identifier: MIT
// Decoded pictures in a file, for those that do not fit in memory. Reading pixels back is many
// times faster than decoding. Internal to PictureStore.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <ydistill/data/image.h>

namespace ydistill {

/// The file is unlinked as soon as it is open, so that it disappears with the process, however that
/// ends. Thread-safe.
class DiskPictures {
 public:
  /// throws FileError if no file can be created in `folder`.
  explicit DiskPictures(const std::filesystem::path& folder);
  ~DiskPictures();
  DiskPictures(const DiskPictures&) = delete;
  DiskPictures& operator=(const DiskPictures&) = delete;

  /// Stores a picture. After the first one that cannot be written (a full disk) no more are stored,
  /// and problem() gives the reason.
  void put(int64_t index, const Image& image);
  /// Null if the picture is not stored or cannot be read back.
  std::shared_ptr<const Image> get(int64_t index);

  int64_t bytes() const;
  std::string problem() const;

 private:
  struct Place {
    int64_t offset = 0, width = 0, height = 0;
  };
  void fail(std::string what);

  int fd_ = -1;
  mutable std::mutex mutex_;  // of all below
  std::map<int64_t, Place> places_;
  int64_t end_ = 0;
  std::string problem_;
};

}  // namespace ydistill
