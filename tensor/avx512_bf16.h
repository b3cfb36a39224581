// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h) that at the level avx512 run only on CPUs with AVX512_BF16: code
// between YD_BEGIN_AVX512_BF16 and YD_END_AVX512_BF16 is compiled for these instructions; headers
// to be inlined into it must be included there too. One of the instructions rounds to bfloat16
// (register_tile.h).
#pragma once

#if !defined(__AVX512F__)
#define YD_BEGIN_AVX512_BF16 static_assert(true)
#define YD_END_AVX512_BF16 static_assert(true)
#else
#include <immintrin.h>

#include <ydistill/tensor/cpu_target.h>

#define YD_AVX512_BF16
#define YD_BEGIN_AVX512_BF16 YD_BEGIN_TARGET("avx512bf16")
#define YD_END_AVX512_BF16 YD_END_TARGET
#endif
