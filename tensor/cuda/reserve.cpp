// SPDX-License-Identifier: MIT
// Addresses of a GPU, mapped as they are needed. The driver's functions are looked up at run time,
// so that nothing links libcuda and the program also starts on a machine without a driver.
#include <cuda.h>

#include <algorithm>
#include <vector>

#include <ydistill/tensor/cuda/device.h>
#include <ydistill/tensor/cuda/memory.h>
#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/error.h>

namespace ydistill::cuda {
namespace {

constexpr double kMiB = 1024.0 * 1024.0;
constexpr int64_t kSmallestStep = int64_t(64) << 20;

template <class Function>
Function entry_point(const char* name) {
  void* address = nullptr;
  cudaDriverEntryPointQueryResult found{};
  YD_CUDA_CHECK(cudaGetDriverEntryPointByVersion(name, &address, 12000, cudaEnableDefault, &found));
  if (found != cudaDriverEntryPointSuccess || address == nullptr) {
    throw DeviceError("cuda: the driver has no {}; it is too old for this build", name);
  }
  return reinterpret_cast<Function>(address);
}

struct Driver {
  decltype(&cuMemGetAllocationGranularity) granularity =
      entry_point<decltype(&cuMemGetAllocationGranularity)>("cuMemGetAllocationGranularity");
  decltype(&cuMemAddressReserve) reserve =
      entry_point<decltype(&cuMemAddressReserve)>("cuMemAddressReserve");
  decltype(&cuMemAddressFree) free = entry_point<decltype(&cuMemAddressFree)>("cuMemAddressFree");
  decltype(&cuMemCreate) create = entry_point<decltype(&cuMemCreate)>("cuMemCreate");
  decltype(&cuMemRelease) release = entry_point<decltype(&cuMemRelease)>("cuMemRelease");
  decltype(&cuMemMap) map = entry_point<decltype(&cuMemMap)>("cuMemMap");
  decltype(&cuMemUnmap) unmap = entry_point<decltype(&cuMemUnmap)>("cuMemUnmap");
  decltype(&cuMemSetAccess) set_access = entry_point<decltype(&cuMemSetAccess)>("cuMemSetAccess");
  decltype(&cuGetErrorString) error_string =
      entry_point<decltype(&cuGetErrorString)>("cuGetErrorString");

  static const Driver& get() {
    static const Driver driver;
    return driver;
  }

  void check(CUresult status, const char* call) const {
    if (status == CUDA_SUCCESS) return;
    const char* text = nullptr;
    (void)error_string(status, &text);
    throw LibraryError("cuda: {} in {}", text == nullptr ? "unknown error" : text, call);
  }
};

class DeviceRange : public AddressRange {
 public:
  DeviceRange(int index, int64_t nbytes) : index_(index) {
    require_device(index);
    YD_CUDA_CHECK(cudaFree(nullptr));  // the driver's calls need the device's context
    const Driver& driver = Driver::get();
    properties_.type = CU_MEM_ALLOCATION_TYPE_PINNED;
    properties_.location.type = CU_MEM_LOCATION_TYPE_DEVICE;
    properties_.location.id = index;
    size_t granularity = 0;
    driver.check(
        driver.granularity(&granularity, &properties_, CU_MEM_ALLOC_GRANULARITY_RECOMMENDED),
        "cuMemGetAllocationGranularity");
    granularity_ = int64_t(granularity);
    nbytes_ = round_up(nbytes);
    driver.check(driver.reserve(&address_, size_t(nbytes_), 0, 0, 0), "cuMemAddressReserve");
    base_ = reinterpret_cast<std::byte*>(address_);
  }

  ~DeviceRange() override {
    const Driver& driver = Driver::get();
    count_allocated(-committed_);
    (void)cudaDeviceSynchronize();  // kernels may still use it
    for (const Piece& piece : pieces_) {
      (void)driver.unmap(address_ + size_t(piece.begin), size_t(piece.nbytes));
      (void)driver.release(piece.handle);
    }
    (void)driver.free(address_, size_t(nbytes_));
  }
  DeviceRange(const DeviceRange&) = delete;
  DeviceRange& operator=(const DeviceRange&) = delete;

  void commit(int64_t end) override {
    if (end <= committed_) return;
    const AllocationScope scope;
    const Driver& driver = Driver::get();
    // In large steps, because mapping is slow; if that does not fit, just what is needed.
    int64_t size =
        std::min(round_up(std::max(end - committed_, kSmallestStep)), nbytes_ - committed_);
    Piece piece{committed_, size, {}};
    CUresult status = driver.create(&piece.handle, size_t(size), &properties_, 0);
    if (status == CUDA_ERROR_OUT_OF_MEMORY) {
      piece.nbytes = size = round_up(end - committed_);
      status = driver.create(&piece.handle, size_t(size), &properties_, 0);
    }
    if (status == CUDA_ERROR_OUT_OF_MEMORY) {
      throw OutOfMemoryError("cuda:{}: out of memory: {:.0f} MiB more asked for, {:.0f} MiB free",
                             index_, double(size) / kMiB,
                             double(cuda::available_memory(index_)) / kMiB);
    }
    driver.check(status, "cuMemCreate");
    status = driver.map(address_ + size_t(committed_), size_t(size), 0, piece.handle, 0);
    if (status != CUDA_SUCCESS) (void)driver.release(piece.handle);
    driver.check(status, "cuMemMap");
    pieces_.push_back(piece);
    CUmemAccessDesc access{};
    access.location = properties_.location;
    access.flags = CU_MEM_ACCESS_FLAGS_PROT_READWRITE;
    status = driver.set_access(address_ + size_t(committed_), size_t(size), &access, 1);
    if (status != CUDA_SUCCESS) {
      (void)driver.unmap(address_ + size_t(committed_), size_t(size));
      (void)driver.release(piece.handle);
      pieces_.pop_back();
    }
    driver.check(status, "cuMemSetAccess");
    committed_ += size;
    count_allocated(size);
  }

 private:
  struct Piece {
    int64_t begin, nbytes;
    CUmemGenericAllocationHandle handle;
  };
  int64_t round_up(int64_t n) const { return (n + granularity_ - 1) / granularity_ * granularity_; }

  int index_;
  CUmemAllocationProp properties_{};
  CUdeviceptr address_ = 0;
  int64_t granularity_ = 1, committed_ = 0;
  std::vector<Piece> pieces_;
};

}  // namespace

std::unique_ptr<AddressRange> reserve_addresses(int index, int64_t nbytes) {
  return std::make_unique<DeviceRange>(index, nbytes);
}

}  // namespace ydistill::cuda
