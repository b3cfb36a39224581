// SPDX-License-Identifier: MIT
// YD_HOST_DEVICE marks a formula that both backends compile. On the host it is forced inline, so
// that a file compiled for AVX-512 never leaves a copy of it that an older CPU could be linked to.
#pragma once

#if defined(__CUDACC__)
#define YD_HOST_DEVICE __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define YD_HOST_DEVICE inline __attribute__((always_inline))
#else
#define YD_HOST_DEVICE inline
#endif
