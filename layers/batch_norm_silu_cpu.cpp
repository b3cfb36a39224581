// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/channel_loops.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kElementsPerTask = 1 << 15;

template <class T>
void sums(const T* y, const T* shift, int64_t rows, int64_t channels, int64_t rows_per_chunk,
          double* partial) {
  sum_chunks<2, T>(
      rows, channels, rows_per_chunk,
      partial, [=](const auto& i, const auto& c, auto& sums) __attribute__((always_inline)) {
        const Pack<T> d = i.load(y) - c.load(shift);
        sums[0] += d;
        sums[1] += d * d;
      });
}

template <class T, class A = Arithmetic<T>>
void grad_sums(const T* grad_out, const T* y, const A* scale, const A* offset, const A* mean,
               int64_t rows, int64_t channels, int64_t rows_per_chunk, double* partial, T* dz_out) {
  const auto sum = [=](auto is_kept) {
    sum_chunks<2, T>(
        rows, channels, rows_per_chunk,
        partial, [=](const auto& i, const auto& c, auto& sums) __attribute__((always_inline)) {
          const Pack<T> v = i.load(y);
          const Pack<T> dz =
              i.load(grad_out) * silu_grad_for<T>(c.load(scale) * v + c.load(offset));
          if constexpr (decltype(is_kept)::value) i.store(dz, dz_out);
          sums[0] += dz;
          sums[1] += dz * (v - c.load(mean));
        });
  };
  dz_out != nullptr ? sum(std::true_type()) : sum(std::false_type());
}

template <class T, class A = Arithmetic<T>>
void apply(const T* y, const A* scale, const A* offset, const T* residual, int64_t rows,
           int64_t channels, T* out) {
  const auto run = [=](auto has_residual) {
    for_each_row<T>(
        rows, channels, [=](const auto& i, const auto& c) __attribute__((always_inline)) {
          Pack<T> value = silu_for<T>(c.load(scale) * i.load(y) + c.load(offset));
          if constexpr (decltype(has_residual)::value) value += i.load(residual);
          i.store(value, out);
        });
  };
  residual != nullptr ? run(std::true_type()) : run(std::false_type());
}

// grad_y may be grad_out: each element is read before it is written.
template <class T, class A = Arithmetic<T>>
void grad_input(const T* grad_out, bool has_dz, const T* y, const A* scale, const A* offset,
                const A* mean, const A* slope, const A* intercept, int64_t rows, int64_t channels,
                T* grad_y) {
  const auto run = [=](auto has) {
    for_each_row<T>(
        rows, channels, [=](const auto& i, const auto& c) __attribute__((always_inline)) {
          const Pack<T> v = i.load(y), s = c.load(scale);
          Pack<T> dz = i.load(grad_out);
          if constexpr (!decltype(has)::value) dz *= silu_grad_for<T>(s * v + c.load(offset));
          i.store(s * dz + (c.load(slope) * (v - c.load(mean)) + c.load(intercept)), grad_y);
        });
  };
  has_dz ? run(std::true_type()) : run(std::false_type());
}

template <class T>
void silu_all(T* x, const T* residual, int64_t n) {
  const auto run = [=](auto has_residual) {
    parallel_ranges(n, kElementsPerTask, [=](int64_t begin, int64_t end) {
      for_each_pack<T>(
          end - begin, [=](const auto& c) __attribute__((always_inline)) {
            const auto i = c.after(begin);
            Pack<T> value = silu_for<T>(i.load(x));
            if constexpr (decltype(has_residual)::value) value += i.load(residual);
            i.store(value, x);
          });
    });
  };
  residual != nullptr ? run(std::true_type()) : run(std::false_type());
}

template <class T>
BatchNormKernels<T> kernels_of() {
  return {sums<T>, apply<T>, grad_sums<T>, grad_input<T>, silu_all<T>};
}

}  // namespace

const BatchNormKernelTable& batch_norm_kernels() {
  static const BatchNormKernelTable table{kernels_of<float>(), kernels_of<double>(),
                                          kernels_of<BFloat16>()};
  return table;
}

}  // namespace ydistill::YD_CPU_LEVEL
