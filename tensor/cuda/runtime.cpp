// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/runtime.h>

#include <atomic>
#include <cstring>
#include <map>

#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/memory.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;

/// One stream per device; they live as long as their thread.
struct ThreadStreams {
  std::map<int, cudaStream_t> of_device;
  ~ThreadStreams() {
    // At exit the driver may be gone: no check.
    for (const auto& [device, stream] : of_device) cudaStreamDestroy(stream);
  }
};
thread_local ThreadStreams own_streams;
thread_local cudaStream_t stream_in_use = nullptr;

class DeviceBlock : public Storage {
 public:
  DeviceBlock(int index, int64_t nbytes) {
    require_device(index);
    const AllocationScope scope;
    void* data = nullptr;
    const cudaError_t status = cudaMalloc(&data, size_t(std::max<int64_t>(nbytes, 1)));
    if (status == cudaErrorMemoryAllocation) {
      (void)cudaGetLastError();
      throw OutOfMemoryError("{}: out of memory: {:.0f} MiB asked for, {:.0f} MiB free",
                             Device::cuda(index).str(), double(nbytes) / kMiB,
                             double(cuda::available_memory(index)) / kMiB);
    }
    YD_CUDA_CHECK(status);
    count_allocated(nbytes);
    data_ = static_cast<std::byte*>(data);
    nbytes_ = nbytes;
    device_ = Device::cuda(index);
  }
  ~DeviceBlock() override {
    count_allocated(-nbytes_);
    cudaFree(data_);
  }
  DeviceBlock(const DeviceBlock&) = delete;
  DeviceBlock& operator=(const DeviceBlock&) = delete;
};

}  // namespace

void fail(cudaError_t status, const char* expression, const char* file, int line) {
  (void)cudaGetLastError();  // so that the next check does not see it again
  const char* slash = std::strrchr(file, '/');
  const std::string where =
      fmt::format("{} ({}) in {}, {}:{}", cudaGetErrorString(status), cudaGetErrorName(status),
                  expression, slash == nullptr ? file : slash + 1, line);
  if (status == cudaErrorMemoryAllocation) throw OutOfMemoryError("cuda: {}", where);
  throw LibraryError("cuda: {}", where);
}

cudaStream_t current_stream() {
  if (stream_in_use != nullptr) return stream_in_use;
  int device = 0;
  YD_CUDA_CHECK(cudaGetDevice(&device));
  cudaStream_t& stream = own_streams.of_device[device];
  if (stream == nullptr) {
    YD_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
  }
  return stream;
}

void synchronize() {
  YD_CUDA_CHECK(cudaStreamSynchronize(current_stream()));
}

cudaStream_t exchange_stream(cudaStream_t stream) {
  return std::exchange(stream_in_use, stream);
}

void check_same_device(const char* op, const Tensor& a, const Tensor& b) {
  if (a.device() != b.device()) {
    throw DeviceError("{}: operands are on {} and {}", op, a.device().str(), b.device().str());
  }
}

namespace {
std::atomic<int64_t> held_bytes = 0, most_held_bytes = 0;
}

int64_t allocated_bytes() {
  return held_bytes;
}

int64_t peak_allocated_bytes() {
  return most_held_bytes;
}

void count_allocated(int64_t delta) {
  const int64_t now = held_bytes += delta;
  int64_t most = most_held_bytes;
  while (now > most && !most_held_bytes.compare_exchange_weak(most, now)) {
  }
}

int64_t available_memory(int index) {
  require_device(index);
  size_t free = 0, total = 0;
  YD_CUDA_CHECK(cudaMemGetInfo(&free, &total));
  return int64_t(free);
}

std::shared_ptr<Storage> allocate_block(int index, int64_t nbytes) {
  return std::make_shared<DeviceBlock>(index, nbytes);
}

void copy(void* to, Device to_device, const void* from, Device from_device, int64_t nbytes) {
  if (nbytes == 0) return;
  require_device(to_device.is_cuda() ? to_device.index : from_device.index);
  YD_CUDA_CHECK(cudaMemcpyAsync(to, from, size_t(nbytes), cudaMemcpyDefault, current_stream()));
  if (to_device.is_cpu() || from_device.is_cpu()) synchronize();
}

void zero(void* data, Device device, int64_t nbytes) {
  require_device(device.index);
  YD_CUDA_CHECK(cudaMemsetAsync(data, 0, size_t(nbytes), current_stream()));
}

}  // namespace ydistill::cuda
