// SPDX-License-Identifier: MIT
// NHWC: channels are the fast axis, so every loop vectorises over them. Rows are walked in blocks
// that stay in the L1 cache while tiles of channels are summed in registers; a block's float sums
// are flushed to double.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/math.h>
#include <ydistill/tensor/parallel.h>

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

template <class T, class A>
YD_HOST_DEVICE A silu_for(A x) {
  if constexpr (sizeof(T) == 2) {
    return silu_bf16(x);
  } else {
    return silu(x);
  }
}

template <class T, class A>
YD_HOST_DEVICE A silu_grad_for(A x) {
  if constexpr (sizeof(T) == 2) {
    return silu_grad_bf16(x);
  } else {
    return silu_grad(x);
  }
}

/// Sums two quantities over rows x channels of one chunk, tile by tile. value(row, channel, a, b)
/// gives both. Width is the number of channels held in registers.
template <int kWidth, class A, class Value>
YD_HOST_DEVICE void sum_tile(int64_t begin, int64_t end, int64_t first, int64_t width,
                             int64_t channels, double* out, const Value& value) {
  A a[kWidth] = {}, b[kWidth] = {};
  for (int64_t row = begin; row < end; ++row) {
    if (width == kWidth) {
#pragma GCC ivdep
      for (int c = 0; c < kWidth; ++c) value(row * channels, first + c, a[c], b[c]);
    } else {
      for (int64_t c = 0; c < width; ++c) value(row * channels, first + c, a[c], b[c]);
    }
  }
  for (int64_t c = 0; c < width; ++c) {
    out[first + c] += double(a[c]);
    out[channels + first + c] += double(b[c]);
  }
}

template <class A, class Value>
YD_HOST_DEVICE void sum_chunks(int64_t rows, int64_t channels, int64_t rows_per_chunk,
                               double* partial, const Value& value) {
  constexpr int kWidth = 32;
  const int64_t step = block_rows(channels);
  parallel_ranges(rows, rows_per_chunk, [=](int64_t begin, int64_t end) {
    double* out = partial + begin / rows_per_chunk * 2 * channels;
    for (int64_t c = 0; c < 2 * channels; ++c) out[c] = 0;
    for (int64_t row = begin; row < end; row += step) {
      const int64_t row_end = row + step < end ? row + step : end;
      int64_t first = 0;
      for (; first + kWidth <= channels; first += kWidth) {
        sum_tile<kWidth, A>(row, row_end, first, kWidth, channels, out, value);
      }
      for (; first + 16 <= channels; first += 16) {
        sum_tile<16, A>(row, row_end, first, 16, channels, out, value);
      }
      if (first < channels) {
        sum_tile<16, A>(row, row_end, first, channels - first, channels, out, value);
      }
    }
  });
}

template <class T>
void sums(const T* y, const T* shift, int64_t rows, int64_t channels, int64_t rows_per_chunk,
          double* partial) {
  using A = Arithmetic<T>;
  sum_chunks<A>(
      rows, channels, rows_per_chunk,
      partial, [=](int64_t row, int64_t c, A & a, A & b) __attribute__((always_inline)) {
        const A d = A(y[row + c]) - A(shift[c]);
        a += d;
        b += d * d;
      });
}

template <class T, class A = Arithmetic<T>>
void grad_sums(const T* grad_out, const T* y, const A* scale, const A* offset, const A* mean,
               int64_t rows, int64_t channels, int64_t rows_per_chunk, double* partial, T* dz_out) {
  if (dz_out != nullptr) {
    sum_chunks<A>(
        rows, channels, rows_per_chunk,
        partial, [=](int64_t row, int64_t c, A & a, A & b) __attribute__((always_inline)) {
          const A v = A(y[row + c]);
          const A dz = A(grad_out[row + c]) * silu_grad_for<T>(scale[c] * v + offset[c]);
          dz_out[row + c] = T(dz);
          a += dz;
          b += dz * (v - mean[c]);
        });
    return;
  }
  sum_chunks<A>(
      rows, channels, rows_per_chunk,
      partial, [=](int64_t row, int64_t c, A & a, A & b) __attribute__((always_inline)) {
        const A v = A(y[row + c]);
        const A dz = A(grad_out[row + c]) * silu_grad_for<T>(scale[c] * v + offset[c]);
        a += dz;
        b += dz * (v - mean[c]);
      });
}

template <class T, class A = Arithmetic<T>>
void apply(const T* __restrict__ y, const A* __restrict__ scale, const A* __restrict__ offset,
           const T* residual, int64_t rows, int64_t channels, T* __restrict__ out) {
  parallel_ranges(rows, task_rows(channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* in = y + row * channels;
      T* to = out + row * channels;
      if (residual != nullptr) {
        const T* add = residual + row * channels;
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; ++c) {
          to[c] = T(silu_for<T>(scale[c] * A(in[c]) + offset[c]) + A(add[c]));
        }
      } else {
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; ++c)
          to[c] = T(silu_for<T>(scale[c] * A(in[c]) + offset[c]));
      }
    }
  });
}

// grad_y may be grad_out: each element is read before it is written.
template <class T, class A = Arithmetic<T>>
void grad_input(const T* grad_out, bool has_dz, const T* y, const A* scale, const A* offset,
                const A* mean, const A* slope, const A* intercept, int64_t rows, int64_t channels,
                T* grad_y) {
  parallel_ranges(rows, task_rows(channels), [=](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const T* grad = grad_out + row * channels;
      const T* in = y + row * channels;
      T* to = grad_y + row * channels;
      if (has_dz) {
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; ++c) {
          to[c] = T(scale[c] * A(grad[c]) + (slope[c] * (A(in[c]) - mean[c]) + intercept[c]));
        }
      } else {
#pragma GCC ivdep
        for (int64_t c = 0; c < channels; ++c) {
          const A v = A(in[c]);
          const A dz = A(grad[c]) * silu_grad_for<T>(scale[c] * v + offset[c]);
          to[c] = T(scale[c] * dz + (slope[c] * (v - mean[c]) + intercept[c]));
        }
      }
    }
  });
}

template <class T>
void silu_all(T* x, const T* residual, int64_t n) {
  using A = Arithmetic<T>;
  parallel_ranges(n, kElementsPerTask, [=](int64_t begin, int64_t end) {
    if (residual != nullptr) {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) x[i] = T(silu_for<T>(A(x[i])) + A(residual[i]));
    } else {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) x[i] = T(silu_for<T>(A(x[i])));
    }
  });
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
