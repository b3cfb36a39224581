// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cpu_level.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <ydistill/tensor/error.h>

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

/// The value of an environment variable; empty if it is not set.
std::string_view wish(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? std::string_view() : value;
}

CpuLevel choose() {
  const CpuLevel best = detect();
  const std::string_view name = wish("YDISTILL_CPU_LEVEL");
  if (name.empty()) return best;
  for (const CpuLevel level : {CpuLevel::kBase, CpuLevel::kAvx2, CpuLevel::kAvx512}) {
    if (name == name_of(level)) return std::min(level, best);
  }
  throw ValueError("YDISTILL_CPU_LEVEL is \"{}\"; it can be base, avx2 or avx512", name);
}

bool choose_bf16_pairs() {
#if defined(__x86_64__)
  const bool has = cpu_level() == CpuLevel::kAvx512 && __builtin_cpu_supports("avx512bf16");
  const bool is_fast = __builtin_cpu_is("amd");
#else
  const bool has = false, is_fast = false;
#endif
  const std::string_view name = wish("YDISTILL_BF16_PAIRS");
  if (name.empty()) return has && is_fast;
  if (name == "off") return false;
  if (name != "on") throw ValueError("YDISTILL_BF16_PAIRS is \"{}\"; it can be on or off", name);
  if (!has) {
    throw ValueError(
        "YDISTILL_BF16_PAIRS is \"on\", but at the level {} this CPU has no "
        "instructions for it (AVX512_BF16)",
        name_of(cpu_level()));
  }
  return true;
}

#if defined(__x86_64__)
/// The register state that the operating system saves at a thread switch (the register XCR0).
uint64_t kept_state() {
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return uint64_t(high) << 32 | low;
}

/// Linux allows AMX tile data only to a process that asks for it; oneDNN asks as well.
bool may_use_tiles() {
#if defined(__linux__)
  constexpr int kRequestPermission = 0x1023, kTileData = 18;  // asm/prctl.h, ARCH_REQ_XCOMP_PERM
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
#else
  return false;
#endif
}
#endif

bool detect_amx() {
#if defined(__x86_64__)
  if (cpu_level() != CpuLevel::kAvx512) return false;
  constexpr unsigned kAmx = 1u << 22 | 1u << 25;  // of leaf 7, edx: bfloat16 and bytes
  constexpr uint64_t kTiles = uint64_t(3) << 17;  // of XCR0: tile configuration and tile data
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) != 0 && (edx & kAmx) == kAmx &&
         __builtin_cpu_supports("avx512bf16") && (kept_state() & kTiles) == kTiles &&
         may_use_tiles();
#else
  return false;
#endif
}

bool detect_int8_dots() {
#if defined(__x86_64__)
  if (cpu_level() == CpuLevel::kAvx512) return __builtin_cpu_supports("avx512vnni");
  constexpr unsigned kAvxVnni = 1u << 4;  // of leaf 7, part 1, eax
  unsigned eax, ebx, ecx, edx;
  return cpu_level() == CpuLevel::kAvx2 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 &&
         (eax & kAvxVnni) != 0;
#else
  return false;
#endif
}

bool choose_int8_dots() {
  const std::string_view name = wish("YDISTILL_INT8_DOTS");
  if (name == "off") return false;
  if (!name.empty()) throw ValueError("YDISTILL_INT8_DOTS is \"{}\"; it can be off", name);
  return detect_int8_dots();
}

Amx choose_amx() {
  const std::string_view name = wish("YDISTILL_AMX");
  if (name == "off") return Amx::kNone;
  if (name == "emulated") return Amx::kEmulated;
  if (!name.empty()) {
    throw ValueError("YDISTILL_AMX is \"{}\"; it can be off or emulated", name);
  }
  return detect_amx() ? Amx::kTiles : Amx::kNone;
}

}  // namespace

CpuLevel cpu_level() {
  static const CpuLevel level = choose();
  return level;
}

bool cpu_has_fast_bf16_pairs() {
  static const bool has = choose_bf16_pairs();
  return has;
}

Amx cpu_amx() {
  static const Amx amx = choose_amx();  // cached: cpuid takes microseconds in a VM
  return amx;
}

bool cpu_has_int8_dots() {
  static const bool has = choose_int8_dots();
  return has;
}

bool cpu_has_fast_bf16() {
  return cpu_has_fast_bf16_pairs() || cpu_amx() == Amx::kTiles;
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
