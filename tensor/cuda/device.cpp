// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/device.h>

#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

constexpr int kOldestMajor = 8;  // sm_80: the first with bfloat16

std::string version_text(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

}  // namespace

int device_count() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    (void)cudaGetLastError();
    return 0;
  }
  return count;
}

std::string why_no_device() {
  int count = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);
  if (status == cudaSuccess && count > 0) return "";
  (void)cudaGetLastError();
  int driver = 0, runtime = 0;
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "no NVIDIA driver is loaded on this machine";
  if (status == cudaErrorInsufficientDriver) {
    return fmt::format("the NVIDIA driver supports CUDA {}, this build needs {} or newer",
                       version_text(driver), version_text(runtime));
  }
  if (status == cudaSuccess || status == cudaErrorNoDevice) {
    return "the driver shows no GPU (is CUDA_VISIBLE_DEVICES empty?)";
  }
  return cudaGetErrorString(status);
}

DeviceInfo device_info(int index) {
  const std::string reason = why_no_device();
  if (!reason.empty()) throw DeviceError("cuda:{}: {}", index, reason);
  const int count = device_count();
  if (index < 0 || index >= count) {
    throw DeviceError("cuda:{}: there are {} GPUs, cuda:0 to cuda:{}", index, count, count - 1);
  }
  cudaDeviceProp properties{};
  YD_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {properties.name, properties.major, properties.minor, int64_t(properties.totalGlobalMem),
          properties.multiProcessorCount};
}

void require_device(int index) {
  thread_local int current = -1;
  if (index == current) return;
  const DeviceInfo info = device_info(index);
  if (info.major < kOldestMajor) {
    throw DeviceError(
        "cuda:{}: {} has compute capability {}.{}, this build has kernels for 8.0 and newer", index,
        info.name, info.major, info.minor);
  }
  YD_CUDA_CHECK(cudaSetDevice(index));
  current = index;
}

}  // namespace ydistill::cuda
