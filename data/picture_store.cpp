// SPDX-License-Identifier: MIT
#include <ydistill/data/picture_store.h>

#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/error.h>

namespace ydistill {

PictureStore::PictureStore(std::shared_ptr<const Dataset> dataset, int64_t budget_bytes,
                           const std::filesystem::path& disk_folder)
    : dataset_(std::move(dataset)),
      budget_bytes_(budget_bytes),
      disk_(disk_folder.empty() ? nullptr : std::make_unique<DiskPictures>(disk_folder)),
      kept_(budget_bytes > 0 ? dataset_->samples.size() : 0) {}

std::shared_ptr<const Image> PictureStore::load(int64_t index, int64_t width, int64_t height,
                                                Interpolation interpolation) {
  {
    const std::lock_guard lock(mutex_);
    if (!kept_.empty() && kept_[size_t(index)]) return kept_[size_t(index)];
    if (unreadable_.contains(index)) return nullptr;
  }
  if (disk_) {
    if (auto picture = disk_->get(index)) return picture;
  }
  const Sample& sample = dataset_->samples[size_t(index)];
  std::string reason;
  std::shared_ptr<const Image> picture;
  try {
    Image image = read_image(sample.image);
    if (image.width != sample.width || image.height != sample.height) {
      reason = fmt::format("has {}x{} pixels now, {}x{} when the dataset was read", image.width,
                           image.height, sample.width, sample.height);
    } else if (image.width == width && image.height == height) {
      picture = std::make_shared<const Image>(std::move(image));
    } else {
      picture = std::make_shared<const Image>(resize(image, width, height, interpolation));
    }
  } catch (const FileError& problem) {
    reason = reading::without_name(problem.what(), sample.image);
  }
  {
    const std::lock_guard lock(mutex_);
    if (!picture) {
      unreadable_.try_emplace(index,
                              Finding{sample.image, 0, std::move(reason), "picture left out"});
      return nullptr;
    }
    const int64_t bytes = int64_t(picture->rgb.size());
    const bool fits = !kept_.empty() && kept_bytes_ + bytes <= budget_bytes_;
    if (fits && !kept_[size_t(index)]) {
      kept_[size_t(index)] = picture;
      kept_bytes_ += bytes;
    }
    if (fits) return picture;
  }
  if (disk_) disk_->put(index, *picture);
  return picture;
}

std::vector<Finding> PictureStore::findings() const {
  const std::lock_guard lock(mutex_);
  std::vector<Finding> all;
  for (const auto& [index, finding] : unreadable_) all.push_back(finding);
  if (disk_ && !disk_->problem().empty()) {
    all.push_back({"train.cache", 0, "the file of decoded pictures " + disk_->problem(),
                   "the others are decoded each time"});
  }
  return all;
}

int64_t PictureStore::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_ + (disk_ ? disk_->bytes() : 0);
}

}  // namespace ydistill
