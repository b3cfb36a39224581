// SPDX-License-Identifier: MIT
#include <ydistill/tensor/add.h>
#include <ydistill/tensor/parallel.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void add(T* sum, const T* other, int64_t n) {
  parallel_ranges(n, 1 << 16, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sum[i] += other[i];
  });
}

}  // namespace

const AddKernels& add_kernels() {
  static const AddKernels kernels{add<float>, add<double>};
  return kernels;
}

}  // namespace ydistill::YD_CPU_LEVEL
