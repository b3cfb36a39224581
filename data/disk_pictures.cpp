// SPDX-License-Identifier: MIT
#include <ydistill/data/disk_pictures.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include <ydistill/tensor/error.h>
#include <ydistill/tensor/io/text.h>

namespace ydistill {
namespace {

std::string reason_of(int code) {
  return std::generic_category().message(code);
}

/// Calls pread or pwrite until all bytes are transferred. Returns 0 or errno, EIO for an early end.
template <class Call, class Bytes>
int transfer(Call call, int fd, Bytes* bytes, size_t count, int64_t offset) {
  while (count > 0) {
    const ssize_t done = call(fd, bytes, count, offset);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return done < 0 ? errno : EIO;
    bytes += done;
    count -= size_t(done);
    offset += done;
  }
  return 0;
}

}  // namespace

DiskPictures::DiskPictures(const std::filesystem::path& folder) {
  std::string name = (folder / ".ydistill-pictures-XXXXXX").string();
  fd_ = ::mkstemp(name.data());
  if (fd_ < 0) {
    throw FileError("{}: no file for decoded pictures can be made: {}", printable(folder.string()),
                    reason_of(errno));
  }
  ::unlink(name.c_str());
}

DiskPictures::~DiskPictures() {
  ::close(fd_);
}

void DiskPictures::put(int64_t index, const Image& image) {
  Place place{0, image.width, image.height};
  {
    const std::lock_guard lock(mutex_);
    if (!problem_.empty() || places_.contains(index)) return;
    place.offset = end_;
    end_ += int64_t(image.rgb.size());
  }
  const int failure = transfer(::pwrite, fd_, image.rgb.data(), image.rgb.size(), place.offset);
  if (failure != 0) return fail("cannot be written: " + reason_of(failure));
  const std::lock_guard lock(mutex_);
  places_.emplace(index, place);
}

std::shared_ptr<const Image> DiskPictures::get(int64_t index) {
  Place place;
  {
    const std::lock_guard lock(mutex_);
    const auto found = places_.find(index);
    if (found == places_.end()) return nullptr;
    place = found->second;
  }
  auto image = std::make_shared<Image>();
  image->width = place.width;
  image->height = place.height;
  image->rgb.resize(size_t(place.width * place.height * 3));
  const int failure = transfer(::pread, fd_, image->rgb.data(), image->rgb.size(), place.offset);
  if (failure == 0) return image;
  fail("cannot be read: " + reason_of(failure));
  const std::lock_guard lock(mutex_);
  places_.erase(index);
  return nullptr;
}

void DiskPictures::fail(std::string what) {
  const std::lock_guard lock(mutex_);
  if (problem_.empty()) problem_ = std::move(what);
}

int64_t DiskPictures::bytes() const {
  const std::lock_guard lock(mutex_);
  return end_;
}

std::string DiskPictures::problem() const {
  const std::lock_guard lock(mutex_);
  return problem_;
}

}  // namespace ydistill
