// SPDX-License-Identifier: MIT
// The CUDA runtime with checks: every status is checked, every kernel goes to the thread's stream.
#pragma once

#include <cuda_runtime.h>

#include <utility>

#include <ydistill/tensor/tensor.h>

namespace ydistill::cuda {

/// throws LibraryError: text, expression, file and line; OutOfMemoryError where the device is full.
[[noreturn]] void fail(cudaError_t status, const char* expression, const char* file, int line);

#define YD_CUDA_CHECK(expression)                                         \
  do {                                                                    \
    const cudaError_t yd_status = (expression);                           \
    if (yd_status != cudaSuccess) {                                       \
      ::ydistill::cuda::fail(yd_status, #expression, __FILE__, __LINE__); \
    }                                                                     \
  } while (false)

/// The stream of this thread's work, created on first use; the legacy default stream is never used.
cudaStream_t current_stream();
/// Waits until the thread's stream has done all its work.
void synchronize();

/// Makes `stream` the thread's (null: its own again); returns the previous one. See StreamScope.
cudaStream_t exchange_stream(cudaStream_t stream);

/// While it lives, this thread may allocate memory although one of its streams is being captured:
/// the allocation is not part of the graph.
class AllocationScope {
 public:
  AllocationScope() { exchange(); }
  ~AllocationScope() { exchange(); }
  AllocationScope(const AllocationScope&) = delete;
  AllocationScope& operator=(const AllocationScope&) = delete;

 private:
  void exchange() { (void)cudaThreadExchangeStreamCaptureMode(&mode_); }
  cudaStreamCaptureMode mode_ = cudaStreamCaptureModeRelaxed;
};

/// Starts a kernel on the thread's stream.
template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), dim3 blocks, dim3 threads, Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = blocks;
  config.blockDim = threads;
  config.stream = current_stream();
  YD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...));
}

/// Throws DeviceError unless both live on the same GPU. Names the operation.
void check_same_device(const char* op, const Tensor& a, const Tensor& b);

}  // namespace ydistill::cuda
