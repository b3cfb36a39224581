// SPDX-License-Identifier: MIT
// Two passes forward and two backward, each over rows x channels with 16 bytes a thread.
//
// Bytes an element of the activation: statistics read 1, apply reads 1 (2 with a residual) and
// writes 1, gradient sums read 2, gradient reads 2 and writes 1.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/cuda/column_sums.h>
#include <ydistill/tensor/math.h>

namespace ydistill::cuda {
namespace {

/// y - shift and its square; the shift (the first row) keeps a large mean from cancelling digits.
template <class T, int N>
struct Moments {
  const T* y;
  int64_t channels;
  __device__ void operator()(int64_t row, int64_t first, float* a, float* b) const {
    const auto v = load<T, N>(y + row * channels + first), shift = load<T, N>(y + first);
    for (int k = 0; k < N; ++k) {
      const float d = float(v.v[k]) - float(shift.v[k]);
      a[k] += d;
      b[k] += d * d;
    }
  }
};

struct Statistics {
  const float *gamma, *beta;
  float *scale, *offset, *mean, *inv_std, *running_mean, *running_var;
};

template <class T>
struct FinishStatistics {
  const T* y;
  const float* partial;
  int64_t rows, channels, chunks;
  double eps, momentum;
  Statistics to;
  __device__ void operator()(int64_t c) const {
    const double n = double(rows);
    const double shifted_mean = column_sum(partial, chunks, channels, 0, c) / n;
    const double mean = double(float(y[c])) + shifted_mean;
    double var = column_sum(partial, chunks, channels, 1, c) / n - shifted_mean * shifted_mean;
    if (var < 0) var = 0;
    const double inv_std = 1 / std::sqrt(var + eps);
    to.inv_std[c] = float(inv_std);
    to.mean[c] = float(mean);
    to.scale[c] = float(double(to.gamma[c]) * inv_std);
    to.offset[c] = float(double(to.beta[c]) - mean * double(to.gamma[c]) * inv_std);
    const double keep = 1 - momentum;
    to.running_mean[c] = float(keep * double(to.running_mean[c]) + momentum * mean);
    to.running_var[c] = float(keep * double(to.running_var[c]) + momentum * var * n / (n - 1));
  }
};

template <class T, int N>
struct Apply {
  const T* y;
  const float *scale, *offset;
  const T* residual;  // or null
  T* out;
  int64_t packs;  // a row
  __device__ void operator()(int64_t i) const {
    const int64_t first = i % packs * N;
    const auto v = load<T, N>(y + i * N);
    float z[N];
    for (int k = 0; k < N; ++k) z[k] = silu(scale[first + k] * float(v.v[k]) + offset[first + k]);
    if (residual != nullptr) {
      const auto add = load<T, N>(residual + i * N);
      for (int k = 0; k < N; ++k) z[k] += float(add.v[k]);
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(z[k]);
    store(out + i * N, result);
  }
};

/// dz and dz (y - mean), dz = grad_out silu'(scale y + offset)
template <class T, int N>
struct GradMoments {
  const T *grad_out, *y;
  const float *scale, *offset, *mean;
  int64_t channels;
  __device__ void operator()(int64_t row, int64_t first, float* a, float* b) const {
    const auto v = load<T, N>(y + row * channels + first);
    const auto g = load<T, N>(grad_out + row * channels + first);
    for (int k = 0; k < N; ++k) {
      const int64_t c = first + k;
      const float in = float(v.v[k]);
      const float dz = float(g.v[k]) * silu_grad(scale[c] * in + offset[c]);
      a[k] += dz;
      b[k] += dz * (in - mean[c]);
    }
  }
};

struct FinishGradSums {
  const float* partial;
  int64_t rows, channels, chunks;
  const float *scale, *inv_std;
  float *grad_gamma, *grad_beta;  // added to; or null
  float *slope, *intercept;
  __device__ void operator()(int64_t c) const {
    const double sum_dz = column_sum(partial, chunks, channels, 0, c);
    const double sum_dz_xhat = column_sum(partial, chunks, channels, 1, c) * double(inv_std[c]);
    if (grad_beta != nullptr) grad_beta[c] += float(sum_dz);
    if (grad_gamma != nullptr) grad_gamma[c] += float(sum_dz_xhat);
    const double factor = -double(scale[c]) / double(rows);
    slope[c] = float(factor * double(inv_std[c]) * sum_dz_xhat);
    intercept[c] = float(factor * sum_dz);
  }
};

template <class T, int N>
struct GradInput {
  const T *grad_out, *y;
  const float *scale, *offset, *mean, *slope, *intercept;
  T* grad_y;  // may be grad_out: each element is read before it is written
  int64_t packs;
  __device__ void operator()(int64_t i) const {
    const int64_t first = i % packs * N;
    const auto v = load<T, N>(y + i * N);
    const auto g = load<T, N>(grad_out + i * N);
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) {
      const int64_t c = first + k;
      const float in = float(v.v[k]);
      const float dz = float(g.v[k]) * silu_grad(scale[c] * in + offset[c]);
      result.v[k] = T(scale[c] * dz + (slope[c] * (in - mean[c]) + intercept[c]));
    }
    store(grad_y + i * N, result);
  }
};

template <class T, int N>
struct Silu {
  T* x;
  const T* residual;  // or null
  __device__ void operator()(int64_t i) const {
    const auto v = load<T, N>(x + i * N);
    float z[N];
    for (int k = 0; k < N; ++k) z[k] = silu(float(v.v[k]));
    if (residual != nullptr) {
      const auto add = load<T, N>(residual + i * N);
      for (int k = 0; k < N; ++k) z[k] += float(add.v[k]);
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(z[k]);
    store(x + i * N, result);
  }
};

template <class T>
const T* data_or_null(const Tensor& t) {
  return t.defined() ? t.device_data<T>() : nullptr;
}

}  // namespace

BatchNormSaved batch_norm_silu(const Tensor& y, const Tensor& gamma, const Tensor& beta,
                               const Tensor& running_mean, const Tensor& running_var,
                               const BatchNormOptions& options, const Tensor& residual,
                               const Tensor& out) {
  const int64_t channels = y.shape()[-1], rows = y.numel() / channels, chunks = num_chunks(rows);
  const Device device = y.device();
  const auto per_channel = [&] { return Tensor::empty({channels}, DType::kFloat32, device); };
  BatchNormSaved saved{per_channel(), per_channel(), per_channel(), per_channel()};
  const Tensor partial = Tensor::empty({chunks, 2, channels}, DType::kFloat32, device);
  const auto f32 = [](const Tensor& t) { return t.device_data<float>(); };
  dispatch_rows(y.dtype(), channels, "batch_norm_silu", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    const T* const in = y.device_data<T>();
    column_sums<N>(rows, channels, f32(partial), Moments<T, N>{in, channels});
    for_each(channels, FinishStatistics<T>{in,
                                           f32(partial),
                                           rows,
                                           channels,
                                           chunks,
                                           options.eps,
                                           options.momentum,
                                           {f32(gamma), f32(beta), f32(saved.scale),
                                            f32(saved.offset), f32(saved.mean), f32(saved.inv_std),
                                            f32(running_mean), f32(running_var)}});
    for_each(y.numel() / N,
             Apply<T, N>{in, f32(saved.scale), f32(saved.offset), data_or_null<T>(residual),
                         out.device_data<T>(), channels / N});
  });
  return saved;
}

void batch_norm_silu_backward(const Tensor& grad_out, const Tensor& y, const BatchNormSaved& saved,
                              const Tensor& grad_gamma, const Tensor& grad_beta,
                              const Tensor& grad_y) {
  const int64_t channels = y.shape()[-1], rows = y.numel() / channels, chunks = num_chunks(rows);
  const Device device = y.device();
  const Tensor partial = Tensor::empty({chunks, 2, channels}, DType::kFloat32, device);
  const Tensor slope = Tensor::empty({channels}, DType::kFloat32, device);
  const Tensor intercept = Tensor::empty({channels}, DType::kFloat32, device);
  const auto f32 = [](const Tensor& t) { return t.defined() ? t.device_data<float>() : nullptr; };
  dispatch_rows(y.dtype(), channels, "batch_norm_silu", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    const T *const in = y.device_data<T>(), *const grad = grad_out.device_data<T>();
    column_sums<N>(rows, channels, f32(partial),
                   GradMoments<T, N>{grad, in, f32(saved.scale), f32(saved.offset), f32(saved.mean),
                                     channels});
    for_each(channels, FinishGradSums{f32(partial), rows, channels, chunks, f32(saved.scale),
                                      f32(saved.inv_std), f32(grad_gamma), f32(grad_beta),
                                      f32(slope), f32(intercept)});
    for_each(y.numel() / N,
             GradInput<T, N>{grad, in, f32(saved.scale), f32(saved.offset), f32(saved.mean),
                             f32(slope), f32(intercept), grad_y.device_data<T>(), channels / N});
  });
}

void silu_inplace(const Tensor& x, const Tensor& residual) {
  dispatch_rows(x.dtype(), x.numel(), "silu_inplace", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    for_each(x.numel() / N, Silu<T, N>{x.device_data<T>(), data_or_null<T>(residual)});
  });
}

}  // namespace ydistill::cuda
