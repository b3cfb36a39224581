// SPDX-License-Identifier: MIT
// Two passes forward and two backward, each over rows x channels, 16 bytes at a time.
//
// Memory traffic, in activations: statistics read 1, apply reads 1 (2 with a residual) and writes
// 1, gradient sums read 2, gradient reads 2 and writes 1.
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/tensor/cuda/column_moments.h>
#include <ydistill/tensor/math.h>

namespace ydistill::cuda {
namespace {

template <class T>
struct FinishMoments {
  const T* y;
  double rows, eps, momentum;
  const float *gamma, *beta;
  float *scale, *offset, *mean, *inv_std, *running_mean, *running_var;
  __device__ void operator()(int64_t c, double sum, double squares) const {
    const double shifted_mean = sum / rows;
    const double m = double(float(y[c])) + shifted_mean;
    double var = squares / rows - shifted_mean * shifted_mean;
    if (var < 0) var = 0;
    const double inverse = 1 / std::sqrt(var + eps);
    inv_std[c] = float(inverse);
    mean[c] = float(m);
    scale[c] = float(double(gamma[c]) * inverse);
    offset[c] = float(double(beta[c]) - m * double(gamma[c]) * inverse);
    const double keep = 1 - momentum;
    running_mean[c] = float(keep * double(running_mean[c]) + momentum * m);
    running_var[c] = float(keep * double(running_var[c]) + momentum * var * rows / (rows - 1));
  }
};

template <class T, int N>
struct Apply {
  const T* y;
  const float *scale, *offset;
  const T* residual;  // or null
  T* out;
  struct Channels {
    Pack<float, N> scale, offset;
  };
  __device__ Channels of_channels(int64_t first) const {
    return {load<float, N>(scale + first), load<float, N>(offset + first)};
  }
  __device__ void operator()(const Channels& c, int64_t at) const {
    const auto v = load<T, N>(y + at);
    float z[N];
    for (int k = 0; k < N; ++k) z[k] = silu(c.scale.v[k] * float(v.v[k]) + c.offset.v[k]);
    if (residual != nullptr) {
      const auto add = load<T, N>(residual + at);
      for (int k = 0; k < N; ++k) z[k] += float(add.v[k]);
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(z[k]);
    store(out + at, result);
  }
};

/// dz and dz (y - mean), dz = grad_out silu'(scale y + offset)
template <class T, int N>
struct GradMoments {
  const T *grad_out, *y;
  const float *scale, *offset, *mean;
  struct Channels {
    Pack<float, N> scale, offset, mean;
  };
  __device__ Channels of_channels(int64_t first) const {
    return {load<float, N>(scale + first), load<float, N>(offset + first),
            load<float, N>(mean + first)};
  }
  __device__ void operator()(const Channels& c, int64_t at, float* a, float* b) const {
    const auto v = load<T, N>(y + at), g = load<T, N>(grad_out + at);
    for (int k = 0; k < N; ++k) {
      const float in = float(v.v[k]);
      const float dz = float(g.v[k]) * silu_grad(c.scale.v[k] * in + c.offset.v[k]);
      a[k] += dz;
      b[k] += dz * (in - c.mean.v[k]);
    }
  }
};

struct FinishGradMoments {
  double rows;
  const float *scale, *inv_std;
  float *grad_gamma, *grad_beta;  // added to; or null
  float *slope, *intercept;
  __device__ void operator()(int64_t c, double sum_dz, double sum_dz_in) const {
    const double sum_dz_xhat = sum_dz_in * double(inv_std[c]);
    if (grad_beta != nullptr) grad_beta[c] += float(sum_dz);
    if (grad_gamma != nullptr) grad_gamma[c] += float(sum_dz_xhat);
    const double factor = -double(scale[c]) / rows;
    slope[c] = float(factor * double(inv_std[c]) * sum_dz_xhat);
    intercept[c] = float(factor * sum_dz);
  }
};

template <class T, int N>
struct GradInput {
  const T *grad_out, *y;
  const float *scale, *offset, *mean, *slope, *intercept;
  T* grad_y;  // may be grad_out: each number is read before it is written
  struct Channels {
    Pack<float, N> scale, offset, mean, slope, intercept;
  };
  __device__ Channels of_channels(int64_t first) const {
    return {load<float, N>(scale + first), load<float, N>(offset + first),
            load<float, N>(mean + first), load<float, N>(slope + first),
            load<float, N>(intercept + first)};
  }
  __device__ void operator()(const Channels& c, int64_t at) const {
    const auto v = load<T, N>(y + at), g = load<T, N>(grad_out + at);
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) {
      const float in = float(v.v[k]);
      const float dz = float(g.v[k]) * silu_grad(c.scale.v[k] * in + c.offset.v[k]);
      result.v[k] = T(c.scale.v[k] * dz + (c.slope.v[k] * (in - c.mean.v[k]) + c.intercept.v[k]));
    }
    store(grad_y + at, result);
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
  const int64_t channels = y.shape()[-1], rows = y.numel() / channels;
  const Device device = y.device();
  const auto per_channel = [&] { return Tensor::empty({channels}, DType::kFloat32, device); };
  BatchNormSaved saved{per_channel(), per_channel(), per_channel(), per_channel()};
  const auto f32 = [](const Tensor& t) { return t.device_data<float>(); };
  dispatch_rows(y.dtype(), channels, "batch_norm_silu", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    const T* const in = y.device_data<T>();
    column_sums<N>(device, rows, channels, Moments<T, N>{in},
                   FinishMoments<T>{in, double(rows), options.eps, options.momentum, f32(gamma),
                                    f32(beta), f32(saved.scale), f32(saved.offset), f32(saved.mean),
                                    f32(saved.inv_std), f32(running_mean), f32(running_var)});
    for_each_row<N>(rows, channels,
                    Apply<T, N>{in, f32(saved.scale), f32(saved.offset), data_or_null<T>(residual),
                                out.device_data<T>()});
  });
  return saved;
}

void batch_norm_silu_backward(const Tensor& grad_out, const Tensor& y, const BatchNormSaved& saved,
                              const Tensor& grad_gamma, const Tensor& grad_beta,
                              const Tensor& grad_y) {
  const int64_t channels = y.shape()[-1], rows = y.numel() / channels;
  const Device device = y.device();
  const Tensor slope = Tensor::empty({channels}, DType::kFloat32, device);
  const Tensor intercept = Tensor::empty({channels}, DType::kFloat32, device);
  const auto f32 = [](const Tensor& t) { return t.defined() ? t.device_data<float>() : nullptr; };
  dispatch_rows(y.dtype(), channels, "batch_norm_silu", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    const T *const in = y.device_data<T>(), *const grad = grad_out.device_data<T>();
    column_sums<N>(
        device, rows, channels,
        GradMoments<T, N>{grad, in, f32(saved.scale), f32(saved.offset), f32(saved.mean)},
        FinishGradMoments{double(rows), f32(saved.scale), f32(saved.inv_std), f32(grad_gamma),
                          f32(grad_beta), f32(slope), f32(intercept)});
    for_each_row<N>(rows, channels,
                    GradInput<T, N>{grad, in, f32(saved.scale), f32(saved.offset), f32(saved.mean),
                                    f32(slope), f32(intercept), grad_y.device_data<T>()});
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
