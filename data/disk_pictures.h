// SPDX-License-Identifier: MIT
// Decoded pictures in a file: for those that memory has no room for. Reading pixels back is many
// times faster than decoding. Not for users: PictureStore owns it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include <ydistill/data/image.h>

namespace ydistill {

/// The file loses its name as soon as it is open, so that it goes with the process, however that
/// ends. Threads share one.
class DiskPictures {
 public:
  /// throws FileError where no file can be made in `folder`.
  explicit DiskPictures(const std::filesystem::path& folder);
  ~DiskPictures();
  DiskPictures(const DiskPictures&) = delete;
  DiskPictures& operator=(const DiskPictures&) = delete;

  /// Keeps a picture. After the first that cannot be written (a full disk) no more are kept, and
  /// problem() says why.
  void put(int64_t index, const Image& image);
  /// Null where it is not kept or cannot be read back.
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
