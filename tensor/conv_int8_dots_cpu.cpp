// SPDX-License-Identifier: MIT
// By the instruction for four products of bytes: AVX512_VNNI's at the level avx512, AVX-VNNI's at
// avx2.
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

#include <ydistill/tensor/conv_int8_finish.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

#if defined(__AVX2__)
struct DotProduct : Int8Finish {
  template <int kColumns>
  static YD_HOST_DEVICE void add(const float* const* rows, int64_t begin, int64_t end,
                                 const float* panel, Sums (&sums)[kPixels][kColumns]) {
    const float* row[kPixels];
    for (int i = 0; i < kPixels; ++i) row[i] = rows[i];
    for (int64_t k = begin; k < end; ++k, panel += kPanel) {
      Sums w[kColumns];
      for (int v = 0; v < kColumns; ++v) w[v] = Sums(load(panel + v * kLanes));
#pragma GCC unroll 12
      for (int i = 0; i < kPixels; ++i) {
        int32_t four;
        __builtin_memcpy(&four, row[i] + k, sizeof(four));
        for (int v = 0; v < kColumns; ++v) sums[i][v] = added(sums[i][v], four, w[v]);
      }
    }
  }

 private:
  static YD_HOST_DEVICE Sums added(const Sums& sum, int32_t four, const Sums& w) {
#if defined(__AVX512F__)
    return Sums(_mm512_dpbusd_epi32(__m512i(sum), _mm512_set1_epi32(four), __m512i(w)));
#else
    return Sums(_mm256_dpbusd_avx_epi32(__m256i(sum), _mm256_set1_epi32(four), __m256i(w)));
#endif
  }
};

constexpr Int8DotKernels kKernels{run_int8<DotProduct>};
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
