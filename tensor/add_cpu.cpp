// SPDX-License-Identifier: MIT
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void add(T* sum, const T* other, int64_t n) {
  using A = Arithmetic<T>;
  parallel_ranges(n, 1 << 16, [=](int64_t begin, int64_t end) {
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) sum[i] = T(A(sum[i]) + A(other[i]));
  });
}

}  // namespace

const AddKernels& add_kernels() {
  static const AddKernels kernels{add<float>, add<double>, add<BFloat16>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
