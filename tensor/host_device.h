// SPDX-License-Identifier: MIT
// YD_HOST_DEVICE marks a formula that is compiled for the CPU and the GPU. On the host it is always
// inlined, so that no copy compiled for AVX-512 exists that code for an older CPU could be linked
// to.
#pragma once

#if defined(__CUDACC__)
#define YD_HOST_DEVICE __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define YD_HOST_DEVICE inline __attribute__((always_inline))
#else
#define YD_HOST_DEVICE inline
#endif
