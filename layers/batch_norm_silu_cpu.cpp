// SPDX-License-Identifier: MIT
// NHWC: channels are the fast axis, so every loop vectorises over them. Rows are walked in blocks
// that stay in the L1 cache while tiles of channels are summed in registers; a block's float sums
// are flushed to double.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/parallel.h>
#include <ydistill/tensor/vector_math.h>

namespace ydistill::YD_CPU_LEVEL {
namespace {

constexpr int64_t kBlockElements = 4096;
constexpr int64_t kElementsPerTask = 1 << 15;

YD_HOST_DEVICE int64_t block_rows(int64_t channels) {
  const int64_t rows = kBlockElements / channels;  // few, so that float sums stay short
  return rows < 1 ? 1 : (rows > 16 ? 16 : rows);
}

YD_HOST_DEVICE int64_t task_rows(int64_t channels) {
  const int64_t rows = kElementsPerTask / channels;
  return rows < 1 ? 1 : rows;
}

/// Sums two quantities over rows [begin, end) of the channels at kPacks places from `first` on:
/// value(element, channel, a, b) adds both at a place of the tensor and of what is [channels].
template <int kPacks, class T, class Value>
YD_HOST_DEVICE void sum_tile(int64_t begin, int64_t end, const auto& first, int64_t channels,
                             double* out, Value value) {
  constexpr int64_t kPack = kPackOf<T>;
  Pack<T> a[kPacks] = {}, b[kPacks] = {};
  for (int64_t row = begin; row < end; ++row) {
    for (int k = 0; k < kPacks; ++k) {
      const auto c = first.after(k * kPack);
      value(c.after(row * channels), c, a[k], b[k]);
    }
  }
  for (int k = 0; k < kPacks; ++k) {
    const auto c = first.after(k * kPack);
    c.template add<kPack>(a[k], out);
    c.template add<kPack>(b[k], out + channels);
  }
}

template <class T, class Value>
YD_HOST_DEVICE void sum_chunks(int64_t rows, int64_t channels, int64_t rows_per_chunk,
                               double* partial, const Value& value) {
  constexpr int64_t kWidth = 32, kPack = kPackOf<T>;  // channels that registers hold
  const int64_t step = block_rows(channels);
  parallel_ranges(rows, rows_per_chunk, [=](int64_t begin, int64_t end) {
    double* out = partial + begin / rows_per_chunk * 2 * channels;
    for (int64_t c = 0; c < 2 * channels; ++c) out[c] = 0;
    for (int64_t row = begin; row < end; row += step) {
      const int64_t row_end = row + step < end ? row + step : end;
      int64_t c = 0;
      for (; c + kWidth <= channels; c += kWidth) {
        sum_tile<kWidth / kPack, T>(row, row_end, WholePack{c}, channels, out, value);
      }
      for (; c + kPack <= channels; c += kPack) {
        sum_tile<1, T>(row, row_end, WholePack{c}, channels, out, value);
      }
      if constexpr (kPack > 1) {
        if (c < channels) {
          sum_tile<1, T>(row, row_end, FirstOfPack{c, channels - c}, channels, out, value);
        }
      }
    }
  });
}

template <class T>
void sums(const T* y, const T* shift, int64_t rows, int64_t channels, int64_t rows_per_chunk,
          double* partial) {
  sum_chunks<T>(
      rows, channels, rows_per_chunk,
      partial, [=](const auto& i, const auto& c, auto& a, auto& b) __attribute__((always_inline)) {
        const Pack<T> d = i.load(y) - c.load(shift);
        a += d;
        b += d * d;
      });
}

template <class T, class A = Arithmetic<T>>
void grad_sums(const T* grad_out, const T* y, const A* scale, const A* offset, const A* mean,
               int64_t rows, int64_t channels, int64_t rows_per_chunk, double* partial, T* dz_out) {
  const auto sum = [=](auto is_kept) {
    sum_chunks<T>(
        rows, channels, rows_per_chunk, partial,
        [=](const auto& i, const auto& c, auto& a, auto& b) __attribute__((always_inline)) {
          const Pack<T> v = i.load(y);
          const Pack<T> dz =
              i.load(grad_out) * silu_grad_for<T>(c.load(scale) * v + c.load(offset));
          if constexpr (decltype(is_kept)::value) i.store(dz, dz_out);
          a += dz;
          b += dz * (v - c.load(mean));
        });
  };
  dz_out != nullptr ? sum(std::true_type()) : sum(std::false_type());
}

/// f(element, channel) for all places of rows x channels.
template <class T, class F>
YD_HOST_DEVICE void for_each_row(int64_t rows, int64_t channels, const F& f) {
  parallel_ranges(rows, task_rows(channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      for_each_pack<T>(
          channels, [=](const auto& c)
                        __attribute__((always_inline)) { f(c.after(row * channels), c); });
    }
  });
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
