// SPDX-License-Identifier: MIT
// Samples made on the GPU beside the CPU's: the same bytes.
#include <algorithm>

#include <ydistill/data/device_pictures.h>
#include <ydistill/tensor/error.h>

#include "cuda/gpu.h"
#include "data/random_sample.h"

namespace ydistill {
namespace {

constexpr int64_t kBatch = 7;

Dataset dataset_of(const test::NoisePictures& pictures) {
  Dataset dataset;
  for (const auto& image : pictures.images) {
    Sample sample;
    sample.width = image->width;
    sample.height = image->height;
    dataset.samples.push_back(sample);
  }
  return dataset;
}

std::vector<SamplePlan> plans_of(const test::NoisePictures& pictures, const PictureSource& source,
                                 int64_t image_size, int64_t first_case) {
  std::vector<SamplePlan> plans;
  for (int64_t i = first_case; i < first_case + kBatch; ++i) {
    plans.push_back(plan_training_sample(test::options_of_case(i), i % 6, pictures.all, source,
                                         image_size, Rng(uint64_t(i))));
  }
  return plans;
}

Tensor on_gpu(DevicePictures& pictures, const std::vector<SamplePlan>& plans) {
  const SamplePlan& first = plans.front();
  const int64_t count = int64_t(plans.size());
  const Tensor packed = Tensor::empty({count, DevicePictures::packed_bytes(first)}, DType::kUInt8);
  for (int64_t i = 0; i < count; ++i) {
    pictures.pack(plans[size_t(i)], packed.data<uint8_t>() + i * packed.size(1));
  }
  const Tensor images =
      Tensor::full({count, first.height, first.width, 3}, 7, DType::kUInt8).to(Device::cuda());
  gather_samples(packed.to(Device::cuda()), first.room, images);
  return images.to(Device::cpu());
}

Tensor on_cpu(const std::vector<SamplePlan>& plans) {
  const SamplePlan& first = plans.front();
  const Tensor images =
      Tensor::empty({int64_t(plans.size()), first.height, first.width, 3}, DType::kUInt8);
  const int64_t picture_bytes = first.height * first.width * 3;
  for (size_t i = 0; i < plans.size(); ++i) {
    render_sample(plans[i], images.data<uint8_t>() + int64_t(i) * picture_bytes);
  }
  return images;
}

bool same_bytes(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && std::equal(a.raw(), a.raw() + a.nbytes(), b.raw());
}

void check_cases(int64_t image_size) {
  const test::NoisePictures pictures(image_size);
  DevicePictures on_device(dataset_of(pictures), image_size, Device::cuda());
  for (int64_t first = 0; first < 30 * kBatch; first += kBatch) {
    INFO("image size " << image_size << ", cases from " << first);
    const auto plans = plans_of(pictures, pictures.source(), image_size, first);
    CHECK(same_bytes(on_gpu(on_device, plans), on_cpu(plans)));
  }
}

}  // namespace

TEST_CASE("gpu: samples of all kinds have the bytes that the CPU makes") {
  YD_NEEDS_GPU();
  check_cases(64);
  check_cases(33);  // rows that begin at odd addresses
  check_cases(1);
  const test::OtherOrder other;
  check_cases(36);
}

TEST_CASE("gpu: nine pictures, copy-paste, perspective and mixup have the CPU's bytes") {
  YD_NEEDS_GPU();
  for (const int64_t image_size : {64, 33, 1}) {
    const test::NoisePictures pictures(image_size, true);
    DevicePictures on_device(dataset_of(pictures), image_size, Device::cuda());
    for (int64_t first = 0; first < 128; first += 8) {
      INFO("image size " << image_size << ", cases from " << first);
      std::vector<SamplePlan> plans;
      for (int64_t i = first; i < first + 8; ++i) {
        plans.push_back(plan_training_sample(test::full_options_of_case(i), i % 6, pictures.all,
                                             pictures.source(), image_size, Rng(uint64_t(i))));
      }
      CHECK(same_bytes(on_gpu(on_device, plans), on_cpu(plans)));
    }
  }
}

TEST_CASE("gpu: samples of other sizes than their pictures' have the CPU's bytes") {
  YD_NEEDS_GPU();
  const test::NoisePictures pictures(64, true);
  DevicePictures on_device(dataset_of(pictures), 64, Device::cuda());
  for (int64_t first = 0; first < 64; first += 8) {
    AugmentOptions options = test::full_options_of_case(first);
    SampleFrame frame(64);
    frame.output = {32 + 8 * (first % 5), 37};
    std::vector<SamplePlan> plans;
    for (int64_t i = first; i < first + 8; ++i) {
      plans.push_back(plan_training_sample(options, i % 6, pictures.all, pictures.source(), frame,
                                           Rng(uint64_t(i))));
    }
    CHECK(same_bytes(on_gpu(on_device, plans), on_cpu(plans)));
  }
}

TEST_CASE("gpu: a picture is uploaded once, and later plans need no pixels") {
  YD_NEEDS_GPU();
  const test::NoisePictures pictures(64);
  DevicePictures on_device(dataset_of(pictures), 64, Device::cuda());
  for (int64_t i = 0; i < 6; ++i) CHECK(!on_device.has(i));
  const auto plans = plans_of(pictures, pictures.source(), 64, 0);
  const Tensor first = on_gpu(on_device, plans);
  for (int64_t i = 0; i < 6; ++i) CHECK(on_device.has(i));
  const PictureSource bare = [&](int64_t i) {
    const Image& image = *pictures.images[size_t(i)];
    return LoadedPicture{nullptr, &pictures.labels[size_t(i)], i, {image.width, image.height}};
  };
  CHECK(same_bytes(on_gpu(on_device, plans_of(pictures, bare, 64, 0)), first));
}

TEST_CASE("gpu: pictures that do not fit are refused, naming what is needed and what there is") {
  YD_NEEDS_GPU();
  Dataset large;
  Sample sample;
  sample.width = sample.height = 16384;  // 768 MiB
  const int64_t count = available_memory(Device::cuda()) / (int64_t(768) << 20) + 1;
  large.samples.assign(size_t(count), sample);
  CHECK_THROWS_WITH_TEXT(DevicePictures(large, 16384, Device::cuda()), OutOfMemoryError,
                         "MiB of cuda:0, ");
  CHECK_THROWS_WITH_TEXT(DevicePictures(large, 16384, Device::cuda()), OutOfMemoryError,
                         fmt::format("the training pictures need {} MiB", count * 768));
}

TEST_CASE("gpu: plans and images that do not go together are refused") {
  YD_NEEDS_GPU();
  const Tensor images = Tensor::empty({2, 64, 64, 3}, DType::kUInt8, Device::cuda());
  const int64_t bytes = DevicePictures::packed_bytes({}, 64, 64);
  CHECK_THROWS_WITH_TEXT(
      gather_samples(Tensor::empty({3, bytes}, DType::kUInt8, Device::cuda()), {}, images),
      ShapeError, "gather_samples: plans uint8 [3,");
  CHECK_THROWS_WITH_TEXT(gather_samples(Tensor::empty({2, bytes}, DType::kUInt8), {}, images),
                         DeviceError, "plans on cpu, images on cuda:0");
}

}  // namespace ydistill
