// SPDX-License-Identifier: MIT
// Kernels that apply one function to every element or every 16 bytes, and 16-byte memory access.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string_view>

#include <ydistill/tensor/cuda/runtime.h>
#include <ydistill/tensor/dtype.h>

namespace ydistill::cuda {

inline constexpr int kThreads = 256;
/// Enough blocks to fill any device several times; more elements are walked with a stride.
inline constexpr int64_t kMaxBlocks = 1 << 14;

/// Put before a loop: how far the GPU's compiler unrolls it.
#if defined(__CUDACC__)
#define YD_UNROLL _Pragma("unroll")
#define YD_UNROLL_4 _Pragma("unroll 4")
#else
#define YD_UNROLL
#define YD_UNROLL_4
#endif

/// N neighbouring numbers read or written at once.
template <class T, int N>
struct alignas(sizeof(T) * N) Pack {
  T v[N];
};

/// How many numbers fit into 16 bytes.
template <class T>
inline constexpr int kPack = int(16 / sizeof(T));

template <class T, int N>
__device__ __forceinline__ Pack<T, N> load(const T* p) {
  return *reinterpret_cast<const Pack<T, N>*>(p);
}

template <class T, int N>
__device__ __forceinline__ void store(T* p, const Pack<T, N>& value) {
#if defined(__CUDA_ARCH__)
  if constexpr (sizeof(value) == 16) {
    // Otherwise the compiler splits the pack and writes number by number.
    __stwb(reinterpret_cast<uint4*>(p), __builtin_bit_cast(uint4, value));
    return;
  }
#endif
  *reinterpret_cast<Pack<T, N>*>(p) = value;
}

template <class F>
__global__ void __launch_bounds__(kThreads) for_each_kernel(int64_t n, F f) {
  const int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i < n; i += step) f(i);
}

/// f(i) for every i in [0, n). f is a functor with a device call operator.
template <class F>
void for_each(int64_t n, F f) {
  if (n <= 0) return;
  const int64_t blocks = std::min((n + kThreads - 1) / kThreads, kMaxBlocks);
  launch(for_each_kernel<F>, dim3(unsigned(blocks)), dim3(kThreads), n, f);
}

/// Calls f(T(), width) with T float or BFloat16 and width a std::integral_constant: kPack<T> if
/// rows of `channels` numbers can be processed 16 bytes at a time, else 1. throws DTypeError.
template <class F>
void dispatch_rows(DType dtype, int64_t channels, std::string_view op, F&& f) {
  const auto with = [&](auto type) {
    using T = decltype(type);
    if (channels % kPack<T> == 0) {
      f(type, std::integral_constant<int, kPack<T>>());
    } else {
      f(type, std::integral_constant<int, 1>());
    }
  };
  switch (dtype) {
    case DType::kFloat32:
      return with(float());
    case DType::kBFloat16:
      return with(BFloat16());
    default:
      throw DTypeError("{}: on a GPU it takes float32 or bfloat16, got {}", op, name_of(dtype));
  }
}

}  // namespace ydistill::cuda
