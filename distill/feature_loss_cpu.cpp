// SPDX-License-Identifier: MIT
// Two passes over both maps: the first computes all sums, the second the gradient.
#include <ydistill/distill/feature_loss_kernels.h>
#include <ydistill/tensor/channel_loops.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

template <class T>
void sums_of(const T* student, const T* teacher, int64_t rows, int64_t channels,
             int64_t rows_per_chunk, double* partial) {
  sum_chunks<kNumFeatureSums, T>(
      rows, channels, rows_per_chunk,
      partial, [=](const auto& i, const auto& c, auto& sums) __attribute__((always_inline)) {
        const Pack<T> s = i.load(student) - c.load(student), t = i.load(teacher) - c.load(teacher);
        sums[0] += s;
        sums[1] += s * s;
        sums[2] += t;
        sums[3] += t * t;
        sums[4] += s * t;
      });
}

template <class T, class A = Arithmetic<T>>
void grad_of(const T* student, const T* teacher, FeatureSlopes<A> slopes, int64_t rows,
             int64_t channels, T* out) {
  for_each_row<T>(
      rows, channels, [=](const auto& i, const auto& c) __attribute__((always_inline)) {
        const Pack<T> s = i.load(student) - c.load(slopes.mean_s);
        const Pack<T> t = i.load(teacher) - c.load(slopes.mean_t);
        const Pack<T> grad = c.load(slopes.slope_t) * t + c.load(slopes.slope_s) * s;
        i.store(grad, out);
      });
}

template <class T>
FeatureKernels<T> kernels_of() {
  return {sums_of<T>, grad_of<T>};
}

}  // namespace

const FeatureKernelTable& feature_kernels() {
  static const FeatureKernelTable table{kernels_of<float>(), kernels_of<double>(),
                                        kernels_of<BFloat16>()};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
