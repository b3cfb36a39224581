// SPDX-License-Identifier: MIT
// For hot files (cpu_level.h): code between YD_BEGIN_TARGET("avx512bf16"); and YD_END_TARGET; is
// compiled for instructions beyond its level's; headers to be inlined into it must be included
// there too.
#pragma once

#define YD_PRAGMA(...) _Pragma(#__VA_ARGS__)
#if defined(__clang__)
#define YD_BEGIN_TARGET(name)                                                         \
  YD_PRAGMA(clang attribute push(__attribute__((target(name))), apply_to = function)) \
  static_assert(true)
#define YD_END_TARGET YD_PRAGMA(clang attribute pop) static_assert(true)
#else
#define YD_BEGIN_TARGET(name) \
  YD_PRAGMA(GCC push_options) YD_PRAGMA(GCC target(name)) static_assert(true)
#define YD_END_TARGET YD_PRAGMA(GCC pop_options) static_assert(true)
#endif
