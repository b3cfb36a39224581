// SPDX-License-Identifier: MIT
// int8 products by the instruction for four products of bytes: that of AVX512_VNNI at the level
// avx512, that of AVX-VNNI at avx2.
#include <ydistill/tensor/conv_int8_kernels.h>
#include <ydistill/tensor/cpu_target.h>
#include <ydistill/tensor/parallel.h>

#include <type_traits>
#include <utility>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
YD_BEGIN_TARGET("avx512vnni");
#elif defined(__AVX2__)
YD_BEGIN_TARGET("avxvnni");
#endif

#include <ydistill/tensor/conv_int8_product.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

#if defined(__AVX2__)
struct OneInstruction {
  using Left = Sums;
  using Right = Sums;
  static YD_HOST_DEVICE Left left(int32_t four) { return Sums{} + four; }
  static YD_HOST_DEVICE Right right(const Sums& fours) { return fours; }
  static YD_HOST_DEVICE Sums add(const Sums& sum, const Left& x, const Right& w) {
#if defined(__AVX512F__)
    return Sums(_mm512_dpbusd_epi32(__m512i(sum), __m512i(x), __m512i(w)));
#else
    return Sums(_mm256_dpbusd_avx_epi32(__m256i(sum), __m256i(x), __m256i(w)));
#endif
  }
};

constexpr Int8DotKernels kKernels{run_int8<OneInstruction>};
#else
constexpr Int8DotKernels kKernels{nullptr};
#endif

}  // namespace

const Int8DotKernels& int8_dot_kernels() {
  return kKernels;
}

}  // namespace ydistill::YD_CPU_LEVEL

#if defined(__AVX2__)
YD_END_TARGET;
#endif
