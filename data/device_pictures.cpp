// SPDX-License-Identifier: MIT
#include <ydistill/data/device_pictures.h>

#include <cstring>

#include <ydistill/data/gather.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/error.h>
#ifdef YD_HAVE_CUDA
#include <ydistill/data/gather_cuda.h>
#include <ydistill/tensor/cuda/memory.h>
#endif

namespace ydistill {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
static_assert(sizeof(GatherSample) % sizeof(int64_t) == 0, "steps follow it");

[[maybe_unused]] void gather_on_cpu(const Tensor& packed, const Tensor& images) {
  const int64_t size = images.size(1);
  for (int64_t n = 0; n < images.size(0); ++n) {
    const uint8_t* plan = packed.data<uint8_t>() + n * packed.size(1);
    gather(*reinterpret_cast<const GatherSample*>(plan),
           reinterpret_cast<const int64_t*>(plan + sizeof(GatherSample)), size, size,
           images.data<uint8_t>() + n * size * size * 3);
  }
}

}  // namespace

DevicePictures::DevicePictures(const Dataset& dataset, int64_t image_size, Device device)
    : is_there_(dataset.samples.size()) {
  offsets_.reserve(dataset.samples.size() + 1);
  offsets_.push_back(0);
  for (const Sample& sample : dataset.samples) {
    const PictureSize size = load_size(sample.width, sample.height, image_size);
    offsets_.push_back(offsets_.back() + size.width * size.height * 3);
  }
  const int64_t needed = offsets_.back(), available = available_memory(device) / 2;
  if (needed > available) {
    throw OutOfMemoryError(
        "the training pictures need {:.0f} MiB of {}, {:.0f} MiB is half of what is free there",
        double(needed) / kMiB, device.str(), double(available) / kMiB);
  }
  const ArenaScope heap(nullptr);
  pixels_ = Tensor::empty({needed}, DType::kUInt8, device);
}

bool DevicePictures::has(int64_t index) const {
  return is_there_[size_t(index)].load(std::memory_order_acquire);
}

uint8_t* DevicePictures::address(int64_t index) const {
  return reinterpret_cast<uint8_t*>(pixels_.raw()) + offsets_[size_t(index)];
}

int64_t DevicePictures::packed_bytes(int64_t image_size) {
  return int64_t(sizeof(GatherSample)) + 4 * image_size * int64_t(sizeof(int64_t));
}

void DevicePictures::pack(const SamplePlan& plan, uint8_t* packed) {
  GatherSample sample = plan.gather;
  for (int32_t i = 0; i < sample.num_pieces; ++i) {
    const SamplePlan::Picture& picture = plan.pictures[size_t(i)];
    uint8_t* to = address(picture.index);
    sample.pieces[i].rgb = to;
    if (has(picture.index)) continue;
    const uint8_t* from = picture.image->rgb.data();
    const int64_t nbytes = int64_t(picture.image->rgb.size());
    YD_BACKEND(pixels_.device(), (void)std::memcpy(to, from, size_t(nbytes)),
               cuda::copy(to, pixels_.device(), from, Device::cpu(), nbytes));
    is_there_[size_t(picture.index)].store(true, std::memory_order_release);
  }
  std::memcpy(packed, &sample, sizeof(sample));
  std::memcpy(packed + sizeof(sample), plan.steps.data(), plan.steps.size() * sizeof(int64_t));
}

void gather_samples(const Tensor& packed, const Tensor& images) {
  const Shape& s = images.shape();
  if (s.rank() != 4 || s[1] != s[2] || s[3] != 3 ||
      packed.shape() != Shape({s[0], DevicePictures::packed_bytes(s[1])})) {
    throw ShapeError("gather_samples: plans {} for images {}", packed.str(), images.str());
  }
  if (packed.dtype() != DType::kUInt8 || images.dtype() != DType::kUInt8) {
    throw DTypeError("gather_samples: plans {} for images {}, uint8 wanted", packed.str(),
                     images.str());
  }
  if (packed.device() != images.device()) {
    throw DeviceError("gather_samples: plans on {}, images on {}", packed.device().str(),
                      images.device().str());
  }
  YD_BACKEND(images.device(), gather_on_cpu(packed, images), cuda::gather_samples(packed, images));
}

}  // namespace ydistill
