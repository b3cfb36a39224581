// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h) that at the level avx512 run on CPUs with AVX512_BF16 alone: what
// stands between YD_BEGIN_AVX512_BF16 and YD_END_AVX512_BF16 is compiled for its instructions, so
// includes of what is to be inlined there stand there too. Numbers are then rounded to bfloat16 by
// one of them (register_tile.h).
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
