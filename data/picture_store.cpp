// SPDX-License-Identifier: MIT
#include <ydistill/data/picture_store.h>

#include <utility>

#include <ydistill/data/dataset_reader.h>
#include <ydistill/tensor/error.h>

namespace ydistill {

PictureStore::PictureStore(std::shared_ptr<const Dataset> dataset, int64_t budget_bytes)
    : dataset_(std::move(dataset)),
      budget_bytes_(budget_bytes),
      kept_(budget_bytes > 0 ? dataset_->samples.size() : 0) {}

std::shared_ptr<const Image> PictureStore::load(int64_t index, int64_t width, int64_t height,
                                                Interpolation interpolation) {
  {
    const std::lock_guard lock(mutex_);
    if (!kept_.empty() && kept_[size_t(index)]) return kept_[size_t(index)];
    if (unreadable_.contains(index)) return nullptr;
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
  const std::lock_guard lock(mutex_);
  if (!picture) {
    unreadable_.try_emplace(index, Finding{sample.image, 0, std::move(reason), "picture left out"});
    return nullptr;
  }
  const int64_t bytes = int64_t(picture->rgb.size());
  if (!kept_.empty() && !kept_[size_t(index)] && kept_bytes_ + bytes <= budget_bytes_) {
    kept_[size_t(index)] = picture;
    kept_bytes_ += bytes;
  }
  return picture;
}

std::vector<Finding> PictureStore::findings() const {
  const std::lock_guard lock(mutex_);
  std::vector<Finding> all;
  for (const auto& [index, finding] : unreadable_) all.push_back(finding);
  return all;
}

int64_t PictureStore::cached_bytes() const {
  const std::lock_guard lock(mutex_);
  return kept_bytes_;
}

}  // namespace ydistill
