// SPDX-License-Identifier: MIT
// One binary for several x86-64 levels: a hot file (see ydistill_room) is compiled once per level,
// in the namespace YD_CPU_LEVEL, and the best level that the CPU supports is chosen at run time.
//
//   kernels.h        struct AxpyKernels { void (*axpy)(...); };
//                    YD_DECLARE_CPU_KERNELS(AxpyKernels, axpy_kernels);
//   kernels_cpu.cpp  namespace YD_CPU_LEVEL { const AxpyKernels& axpy_kernels() { ... } }
//   caller           axpy_kernels().axpy(...)
//
// A hot file must not call ordinary inline functions of a header (the linker could merge them with
// a copy compiled for a higher level): it takes pointers and sizes, and formulas marked
// YD_HOST_DEVICE.
#pragma once

namespace ydistill {

enum class CpuLevel { kBase, kAvx2, kAvx512 };

/// The best level that this CPU supports. YDISTILL_CPU_LEVEL=base|avx2|avx512 lowers it; throws
/// ValueError for another value.
CpuLevel cpu_level();
/// Whether products of bfloat16 pairs (AVX512_BF16) are faster than float32 on this CPU at that
/// level. AMD's cores do them at twice the speed of float32. Intel's do not: a Xeon of 2023 took
/// four times as long for one as for a float32 multiply-add, half the speed. bench_machine measures
/// it; YDISTILL_BF16_PAIRS=on|off overrides it. throws ValueError for another value, and for "on"
/// if the instructions are missing.
bool cpu_has_fast_bf16_pairs();
/// Support of AMX tiles of bfloat16 and of bytes: many times the speed of float32. YDISTILL_AMX=off
/// disables it, =emulated runs the same kernels on any CPU, slowly, for tests; throws ValueError
/// for another value.
enum class Amx { kNone, kEmulated, kTiles };
Amx cpu_amx();
/// Whether the CPU multiplies bfloat16 faster than float32, by pairs or by AMX.
bool cpu_has_fast_bf16();
/// Whether this CPU, at that level, has an instruction for four products of bytes: AVX512_VNNI at
/// avx512, AVX-VNNI at avx2. YDISTILL_INT8_DOTS=off disables it; throws ValueError for another
/// value.
bool cpu_has_int8_dots();
/// "base", "avx2", "avx512"
const char* name_of(CpuLevel level);

}  // namespace ydistill

#if defined(__x86_64__)
#define YD_DECLARE_CPU_KERNELS(Table, function) \
  namespace cpu_base {                          \
  const Table& function();                      \
  }                                             \
  namespace cpu_avx2 {                          \
  const Table& function();                      \
  }                                             \
  namespace cpu_avx512 {                        \
  const Table& function();                      \
  }                                             \
  inline const Table& function() {              \
    switch (::ydistill::cpu_level()) {          \
      case ::ydistill::CpuLevel::kAvx512:       \
        return cpu_avx512::function();          \
      case ::ydistill::CpuLevel::kAvx2:         \
        return cpu_avx2::function();            \
      default:                                  \
        return cpu_base::function();            \
    }                                           \
  }                                             \
  static_assert(true)
#else
#define YD_DECLARE_CPU_KERNELS(Table, function) \
  namespace cpu_base {                          \
  const Table& function();                      \
  }                                             \
  inline const Table& function() {              \
    return cpu_base::function();                \
  }                                             \
  static_assert(true)
#endif
