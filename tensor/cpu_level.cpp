// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cpu_level.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ydistill {
namespace {

CpuLevel detect() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512cd")) {
    return CpuLevel::kAvx512;
  }
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi2")) {
    return CpuLevel::kAvx2;
  }
#endif
  return CpuLevel::kBase;
}

CpuLevel choose() {
  const CpuLevel best = detect();
  const char* wish = std::getenv("YDISTILL_CPU_LEVEL");
  if (wish == nullptr) return best;
  for (const CpuLevel level : {CpuLevel::kBase, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
    if (std::string_view(wish) == name_of(level)) return std::min(level, best);
  }
  return best;
}

}  // namespace

CpuLevel cpu_level() {
  static const CpuLevel level = choose();
  return level;
}

bool cpu_has_bf16() {
#if defined(__x86_64__)
  return cpu_level() == CpuLevel::kAvx512 && __builtin_cpu_supports("avx512bf16");
#else
  return false;
#endif
}

bool cpu_has_amx_bf16() {
#if defined(__x86_64__)
  static const bool has = [] {               // asking takes microseconds where a hypervisor answers
    constexpr unsigned kAmxBf16 = 1u << 22;  // of leaf 7, edx
    unsigned eax, ebx, ecx, edx;
    return cpu_has_bf16() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 &&
           (edx & kAmxBf16) != 0;
  }();
  return has;
#else
  return false;
#endif
}

const char* name_of(CpuLevel level) {
  switch (level) {
    case CpuLevel::kBase:
      return "base";
    case CpuLevel::kAvx2:
      return "avx2";
    case CpuLevel::kAvx512:
      return "avx512";
  }
  return "?";
}

}  // namespace ydistill
