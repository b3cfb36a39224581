// SPDX-License-Identifier: MIT
#include <ydistill/data/device_pictures.h>

#include <cstring>
#include <utility>

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
static_assert(sizeof(PackedPlan) % sizeof(int64_t) == 0, "steps follow it");

int64_t steps_bytes(const PlanRoom& room, int64_t width, int64_t height) {
  return (room.is_projective ? 3 : 2) * (width + height) * int64_t(sizeof(int64_t));
}

int64_t mask_bytes(const PlanRoom& room) {
  const int64_t side = 2 * room.image_size;
  return room.has_mask ? side * mask_words(side) * int64_t(sizeof(uint64_t)) : 0;
}

[[maybe_unused]] void gather_on_cpu(const Tensor& packed, const Tensor& images) {
  const int64_t height = images.size(1), width = images.size(2);
  for (int64_t n = 0; n < images.size(0); ++n) {
    const uint8_t* plan = packed.data<uint8_t>() + n * packed.size(1);
    const auto& header = *reinterpret_cast<const PackedPlan*>(plan);
    GatherLayerData data[kMaxLayers];
    for (int i = 0; i < kMaxLayers; ++i) data[i] = packed_layer(plan, header, i);
    gather(header.sample, data, width, height, images.data<uint8_t>() + n * height * width * 3);
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

int64_t DevicePictures::packed_bytes(const PlanRoom& room, int64_t width, int64_t height) {
  return int64_t(sizeof(PackedPlan)) +
         room.layers * (steps_bytes(room, width, height) + mask_bytes(room));
}

void DevicePictures::pack(const SamplePlan& plan, uint8_t* packed) {
  PackedPlan header{plan.gather, {}};
  int64_t end = int64_t(sizeof(PackedPlan));
  const auto append = [&](const void* from, size_t nbytes) {
    std::memcpy(packed + end, from, nbytes);
    return std::exchange(end, end + int64_t(nbytes));
  };
  for (int32_t l = 0; l < plan.gather.num_layers; ++l) {
    const SamplePlan::Layer& layer = plan.layers[size_t(l)];
    GatherLayer& gathered = header.sample.layers[l];
    for (int32_t i = 0; i < gathered.num_pieces; ++i) {
      gathered.pieces[i].rgb = uploaded(layer.pictures[size_t(i)]);
    }
    header.layers[l].steps = append(layer.steps.data(), layer.steps.size() * sizeof(int64_t));
    if (!layer.mask.empty()) {
      header.layers[l].mask = append(layer.mask.data(), layer.mask.size() * sizeof(uint64_t));
    }
  }
  std::memcpy(packed, &header, sizeof(header));
}

const uint8_t* DevicePictures::uploaded(const SamplePlan::Picture& picture) {
  uint8_t* to = address(picture.index);
  if (has(picture.index)) return to;
  const uint8_t* from = picture.image->rgb.data();
  const int64_t nbytes = int64_t(picture.image->rgb.size());
  YD_BACKEND(pixels_.device(), (void)std::memcpy(to, from, size_t(nbytes)),
             cuda::copy(to, pixels_.device(), from, Device::cpu(), nbytes));
  is_there_[size_t(picture.index)].store(true, std::memory_order_release);
  return to;
}

void gather_samples(const Tensor& packed, const PlanRoom& room, const Tensor& images) {
  const Shape& s = images.shape();
  if (s.rank() != 4 || s[3] != 3 ||
      packed.shape() != Shape({s[0], DevicePictures::packed_bytes(room, s[2], s[1])})) {
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
  YD_BACKEND(images.device(), gather_on_cpu(packed, images),
             cuda::gather_samples(packed, room, images));
}

}  // namespace ydistill
