// SPDX-License-Identifier: MIT
// A stand-in for the CUDA runtime, so that the kernels of this project compile as C++ and run on
// the CPU, one block after the other. What it gives: blocks and threads, __syncthreads(), warp
// shuffles, shared memory, atomics, copies, streams (in order, at once) and the capture of graphs.
// A thread that leaves while others of its block wait at a barrier, and a barrier that some never
// reach, stop the program with a message: on a GPU both may hang. A GPU runs blocks and threads in
// any order: with YDISTILL_CUDA_EMULATOR_ORDER=reversed in the environment the last runs first.
//
// Memory is handed out filled with bytes of 0xff, as floats NaN, so that a result which depends on
// what nobody wrote shows. Built with AddressSanitizer, a kernel that touches a byte outside of a
// block, also of one that came from an arena, stops the program with a report.
//
// Only tests see this folder.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <tuple>
#include <utility>

#define __host__
#define __device__
#define __global__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __shared__ static
#define __constant__ static const

struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  dim3() = default;
  dim3(unsigned x_, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

extern dim3 threadIdx, blockIdx, blockDim, gridDim;
inline constexpr int warpSize = 32;

enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100
};
enum cudaMemcpyKind { cudaMemcpyDefault = 4 };
enum cudaStreamCaptureStatus { cudaStreamCaptureStatusNone = 0, cudaStreamCaptureStatusActive = 1 };
enum cudaStreamCaptureMode {
  cudaStreamCaptureModeGlobal = 0,
  cudaStreamCaptureModeThreadLocal = 1,
  cudaStreamCaptureModeRelaxed = 2
};
inline constexpr unsigned cudaStreamNonBlocking = 1, cudaEventDisableTiming = 2;

using cudaStream_t = struct EmulatedStream*;
using cudaEvent_t = struct EmulatedEvent*;
using cudaGraph_t = struct EmulatedGraph*;
using cudaGraphExec_t = struct EmulatedGraph*;

struct cudaDeviceProp {
  char name[256];
  int major, minor;
  size_t totalGlobalMem;
  int multiProcessorCount;
};

struct cudaLaunchConfig_t {
  dim3 gridDim, blockDim;
  size_t dynamicSmemBytes = 0;
  cudaStream_t stream = nullptr;
  void* attrs = nullptr;
  unsigned numAttrs = 0;
};

const char* cudaGetErrorString(cudaError_t);
const char* cudaGetErrorName(cudaError_t);
cudaError_t cudaGetLastError();
cudaError_t cudaGetDeviceCount(int*);
cudaError_t cudaGetDeviceProperties(cudaDeviceProp*, int);
cudaError_t cudaDriverGetVersion(int*);
cudaError_t cudaRuntimeGetVersion(int*);
cudaError_t cudaSetDevice(int);
cudaError_t cudaGetDevice(int*);
cudaError_t cudaMemGetInfo(size_t* free, size_t* total);
cudaError_t cudaMalloc(void**, size_t);
cudaError_t cudaFree(void*);
cudaError_t cudaMallocHost(void**, size_t);
cudaError_t cudaFreeHost(void*);
cudaError_t cudaMemcpyAsync(void*, const void*, size_t, cudaMemcpyKind, cudaStream_t);
cudaError_t cudaMemsetAsync(void*, int, size_t, cudaStream_t);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t*, unsigned);
cudaError_t cudaStreamDestroy(cudaStream_t);
cudaError_t cudaStreamSynchronize(cudaStream_t);
cudaError_t cudaDeviceSynchronize();
cudaError_t cudaStreamBeginCapture(cudaStream_t, cudaStreamCaptureMode);
cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode*);
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus*);
cudaError_t cudaStreamEndCapture(cudaStream_t, cudaGraph_t*);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t*, cudaGraph_t, unsigned long long);
cudaError_t cudaGraphLaunch(cudaGraphExec_t, cudaStream_t);
cudaError_t cudaGraphDestroy(cudaGraph_t);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t);
cudaError_t cudaEventCreate(cudaEvent_t*);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t*, unsigned);
cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t);
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t, cudaEvent_t);
cudaError_t cudaEventSynchronize(cudaEvent_t);
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned);
cudaError_t cudaEventDestroy(cudaEvent_t);

namespace cuda_emulator {
/// Does the work now, or keeps it where the stream is being captured.
void enqueue(std::function<void()> work);
/// The number of the capture that is under way; 0 if none is.
int capture_number();
/// Bytes that nobody has written.
inline constexpr int kUnwritten = 0xff;
/// These bytes may be used from now on, or no longer: for AddressSanitizer.
void allow_use(void* data, size_t nbytes);
void forbid_use(void* data, size_t nbytes);
/// name: tells kernels apart. One whose first block never waits is taken to need no waiting.
void run_grid(dim3 blocks, dim3 threads, const void* name, const std::function<void()>& kernel);
void barrier();
/// Hands `value` (at most 8 bytes) to the warp and returns lane `source`'s.
uint64_t exchange(uint64_t value, int source);
int lane();
/// Lets time go by for the marks of events: what the GPU would have been busy.
void pass(double milliseconds);
}  // namespace cuda_emulator

template <class... Parameters, class... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t* config, void (*kernel)(Parameters...),
                               Arguments&&... arguments) {
  cuda_emulator::enqueue([blocks = config->gridDim, threads = config->blockDim, kernel,
                          values = std::tuple<Parameters...>(arguments...)] {
    cuda_emulator::run_grid(blocks, threads, reinterpret_cast<const void*>(kernel),
                            [&] { std::apply(kernel, values); });
  });
  return cudaSuccess;
}

inline void __syncthreads() {
  cuda_emulator::barrier();
}

template <class T>
T emulated_shuffle(T value, int source) {
  static_assert(sizeof(T) <= sizeof(uint64_t));
  uint64_t bits = 0;
  __builtin_memcpy(&bits, &value, sizeof(T));
  bits = cuda_emulator::exchange(bits, source);
  __builtin_memcpy(&value, &bits, sizeof(T));
  return value;
}
template <class T>
T __shfl_xor_sync(unsigned, T value, int mask) {
  return emulated_shuffle(value, cuda_emulator::lane() ^ mask);
}
template <class T>
T __shfl_down_sync(unsigned, T value, int delta) {
  const int source = cuda_emulator::lane() + delta;
  return emulated_shuffle(value, source < warpSize ? source : cuda_emulator::lane());
}

template <class T>
T atomicAdd(T* at, T value) {
  return std::exchange(*at, T(*at + value));
}
template <class T>
T atomicMax(T* at, T value) {
  return std::exchange(*at, std::max(*at, value));
}
template <class T>
T atomicExch(T* at, T value) {
  return std::exchange(*at, value);
}
