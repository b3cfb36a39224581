// SPDX-License-Identifier: MIT
#include <ydistill/layers/focus.h>
#include <ydistill/tensor/arena.h>
#include <ydistill/tensor/cuda/memory.h>
#include <ydistill/tensor/random.h>
#include <ydistill/tensor/tensor.h>

#include "cuda/gpu.h"

namespace ydistill {
namespace {

TEST_CASE("gpu: numbers come back from the device as they went") {
  YD_NEEDS_GPU();
  for (const DType dtype : {DType::kFloat32, DType::kFloat64, DType::kBFloat16}) {
    const Tensor t = Rng(1).uniform({3, 5}, -1, 1, DType::kFloat64).to(dtype);
    const Tensor back = t.to(Device::cuda()).clone().to(Device::cpu());
    for (int64_t i = 0; i < t.numel(); ++i) CHECK(back.at(i) == t.at(i));
  }
}

TEST_CASE("gpu: a tensor there is refused by what reads the CPU's memory and the other way round") {
  YD_NEEDS_GPU();
  const Tensor t = Tensor::zeros({2}, DType::kFloat32, Device::cuda());
  CHECK_THROWS_WITH_TEXT(t.data<float>(), DeviceError, "cuda:0");
  CHECK_THROWS_WITH_TEXT(Tensor::zeros({2}).device_data<float>(), DeviceError, "cpu");
}

TEST_CASE("gpu: an arena there gives the same addresses again") {
  YD_NEEDS_GPU();
  const auto arena = Arena::create(int64_t(1) << 28, Device::cuda());
  const ArenaScope scope(arena);
  std::vector<const void*> first, second;
  for (auto* addresses : {&first, &second}) {
    std::vector<Tensor> held;
    for (const int64_t n : {1000, 10, 500000, 77}) {
      held.push_back(Tensor::zeros({n}, DType::kFloat32, Device::cuda()));
      addresses->push_back(held.back().raw());
      CHECK(reinterpret_cast<uintptr_t>(held.back().raw()) % 256 == 0);
    }
  }
  CHECK(first == second);
  CHECK(arena->peak_bytes() >= 500000 * 4);
}

TEST_CASE("gpu: an arena there refuses more than its limit and names it") {
  YD_NEEDS_GPU();
  const auto arena = Arena::create(int64_t(1) << 20, Device::cuda());
  const ArenaScope scope(arena);
  CHECK_THROWS_WITH_TEXT(Tensor::empty({1 << 20}, DType::kFloat32, Device::cuda()),
                         OutOfMemoryError, "limit is 1.0 MiB");
}

TEST_CASE("gpu: the bytes held there are counted and given back") {
  YD_NEEDS_GPU();
  const int64_t before = cuda::allocated_bytes();
  {
    const Tensor block = Tensor::empty({1000}, DType::kFloat32, Device::cuda());
    CHECK(cuda::allocated_bytes() == before + 4000);
    const auto arena = Arena::create(int64_t(1) << 24, Device::cuda());
    const ArenaScope scope(arena);
    const Tensor in_arena = Tensor::empty({1 << 20}, DType::kUInt8, Device::cuda());
    CHECK(cuda::allocated_bytes() >= before + 4000 + (1 << 20));
  }
  CHECK(cuda::allocated_bytes() == before);
  CHECK(cuda::peak_allocated_bytes() >= before + 4000 + (1 << 20));
}

TEST_CASE("gpu: every level of a picture becomes the same number as on the CPU") {
  YD_NEEDS_GPU();
  const Tensor images = Tensor::empty({1, 16, 16, 3}, DType::kUInt8);
  for (int64_t i = 0; i < images.numel(); ++i) images.data<uint8_t>()[i] = uint8_t(i % 256);
  for (const auto& convert : {focus_input, scaled_input}) {
    const Tensor expected = convert(images, DType::kFloat32);
    const Tensor got = convert(images.to(Device::cuda()), DType::kFloat32).to(Device::cpu());
    for (int64_t i = 0; i < got.numel(); ++i) CHECK(got.at(i) == expected.at(i));
  }
}

TEST_CASE("gpu: a device that is not there is refused by number") {
  YD_NEEDS_GPU();
  CHECK_THROWS_WITH_TEXT(cuda::device_info(99), DeviceError, "cuda:99");
}

TEST_CASE("gpu: without one the reason is one line") {
  const std::string reason = cuda::why_no_device();
  if (reason.empty()) YD_SKIP("there is a GPU");
  CHECK(reason.find('\n') == std::string::npos);
  CHECK_THROWS_WITH_TEXT(cuda::require_device(0), DeviceError, reason);
  CHECK_THROWS_WITH_TEXT(Tensor::zeros({1}, DType::kFloat32, Device::cuda()), DeviceError, reason);
}

}  // namespace
}  // namespace ydistill
