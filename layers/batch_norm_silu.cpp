// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <ydistill/tensor/channel_chunks.h>
#include <ydistill/tensor/dry_run.h>

namespace ydistill {
namespace {

const Op kBatchNormSilu("batch_norm_silu");

constexpr int64_t kCachedBytes = int64_t(8) << 20;

template <class T>
const BatchNormKernels<T>& kernels() {
  return kernels_for<T>(batch_norm_kernels());
}

template <class T, class A = Arithmetic<T>>
BatchNormSaved statistics(const T* y, const ChannelChunks& dims, const A* gamma, const A* beta,
                          const BatchNormOptions& options, A* running_mean, A* running_var) {
  const size_t channels = size_t(dims.channels);
  const std::vector<double> sums = sums_of_chunks(dims, 2, [&](double* partial) {
    kernels<T>().sums(y, y, dims.rows, dims.channels, dims.rows_per_chunk, partial);
  });
  const auto per_channel = [&] { return Tensor::empty({dims.channels}, dtype_of<A>); };
  const BatchNormSaved saved{per_channel(), per_channel(), per_channel(),
                             Tensor::empty({dims.channels}, DType::kFloat64)};
  if (DryRun::is_on()) return saved;
  A *const scale = saved.scale.data<A>(), *const offset = saved.offset.data<A>();
  A* const mean_out = saved.mean.data<A>();
  double* const inv_std_out = saved.inv_std.data<double>();
  const double n = double(dims.rows);
  for (size_t c = 0; c < channels; ++c) {
    const double shifted_mean = sums[c] / n;
    const double mean = double(A(y[c])) + shifted_mean;
    const double var = std::max(0.0, sums[channels + c] / n - shifted_mean * shifted_mean);
    const double inv_std = 1 / std::sqrt(var + options.eps);
    inv_std_out[c] = inv_std;
    mean_out[c] = A(mean);
    scale[c] = A(double(gamma[c]) * inv_std);
    offset[c] = A(double(beta[c]) - mean * double(gamma[c]) * inv_std);
    const double keep = 1 - options.momentum;
    running_mean[c] = A(keep * double(running_mean[c]) + options.momentum * mean);
    running_var[c] = A(keep * double(running_var[c]) + options.momentum * var * n / (n - 1));
  }
  return saved;
}

template <class T>
void apply_on_cpu(const Tensor& y, const BatchNormSaved& saved, const Tensor& residual,
                  const Tensor& out) {
  using A = Arithmetic<T>;
  const ChannelChunks dims = channel_chunks(y.shape());
  kernels<T>().apply(y.data<T>(), saved.scale.data<A>(), saved.offset.data<A>(),
                     residual.defined() ? residual.data<T>() : nullptr, dims.rows, dims.channels,
                     out.data<T>());
}

BatchNormSaved forward_on_cpu(const Tensor& y, const Tensor& gamma, const Tensor& beta,
                              const Tensor& running_mean, const Tensor& running_var,
                              const BatchNormOptions& options, const Tensor& residual,
                              const Tensor& out) {
  return dispatch_activation(y.dtype(), "batch_norm_silu", [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const ChannelChunks dims = channel_chunks(y.shape());
    const BatchNormSaved saved =
        statistics<T>(y.data<T>(), dims, gamma.data<A>(), beta.data<A>(), options,
                      running_mean.data<A>(), running_var.data<A>());
    apply_on_cpu<T>(y, saved, residual, out);
    return saved;
  });
}

/// Recomputes the output exactly as forward_on_cpu made it.
Tensor output_on_cpu(const Tensor& y, const BatchNormSaved& saved, const Tensor& residual) {
  Tensor out = Tensor::empty(y.shape(), y.dtype());
  dispatch_activation(y.dtype(), "batch_norm_silu",
                      [&](auto type) { apply_on_cpu<decltype(type)>(y, saved, residual, out); });
  return out;
}

/// With g = grad_out, dz = g silu'(z), N values per channel:
///   d beta = sum dz      d gamma = sum dz x^
///   d y = gamma inv_std (dz - mean(dz) - x^ mean(dz x^))
void backward_on_cpu(const Tensor& grad_out, const Tensor& y, const BatchNormSaved& saved,
                     const Tensor& grad_gamma, const Tensor& grad_beta, const Tensor& grad_y) {
  if (DryRun::is_on()) return;
  dispatch_activation(y.dtype(), "batch_norm_silu", [&](auto type) {
    using T = decltype(type);
    using A = Arithmetic<T>;
    const ChannelChunks dims = channel_chunks(y.shape());
    const size_t channels = size_t(dims.channels);
    const A *const scale = saved.scale.data<A>(), *const offset = saved.offset.data<A>();
    const A* const mean = saved.mean.data<A>();
    const double* const inv_std = saved.inv_std.data<double>();
    // Storing dz costs a pass of writes, recomputing it a sigmoid. Storing is faster for bfloat16
    // and for what fits into the cache, recomputing for the rest.
    T* const dz = sizeof(T) == 2 || y.nbytes() <= kCachedBytes ? grad_y.data<T>() : nullptr;
    const std::vector<double> sums = sums_of_chunks(dims, 2, [&](double* partial) {
      kernels<T>().grad_sums(grad_out.data<T>(), y.data<T>(), scale, offset, mean, dims.rows,
                             dims.channels, dims.rows_per_chunk, partial, dz);
    });
    std::vector<A> slope(channels), intercept(channels);
    const double n = double(dims.rows);
    for (size_t c = 0; c < channels; ++c) {
      const double sum_dz = sums[c];
      const double sum_dz_xhat = sums[channels + c] * inv_std[c];
      if (grad_beta.defined()) grad_beta.data<A>()[c] += A(sum_dz);
      if (grad_gamma.defined()) grad_gamma.data<A>()[c] += A(sum_dz_xhat);
      slope[c] = A(-double(scale[c]) * inv_std[c] * sum_dz_xhat / n);
      intercept[c] = A(-double(scale[c]) * sum_dz / n);
    }
    kernels<T>().grad_input(dz != nullptr ? dz : grad_out.data<T>(), dz != nullptr, y.data<T>(),
                            scale, offset, mean, slope.data(), intercept.data(), dims.rows,
                            dims.channels, grad_y.data<T>());
  });
}

void silu_on_cpu(const Tensor& x, const Tensor& residual) {
  dispatch_activation(x.dtype(), "silu_inplace", [&](auto type) {
    using T = decltype(type);
    kernels<T>().silu(x.data<T>(), residual.defined() ? residual.data<T>() : nullptr, x.numel());
  });
}

void check(const Var& y, const Var& gamma, const Var& beta, const Tensor& running_mean,
           const Tensor& running_var, const Var& residual) {
  if (y.shape().rank() < 2) {
    throw ShapeError("batch_norm_silu: takes [..., C], got {}", y.shape().str());
  }
  const Shape per_channel{y.shape()[-1]};
  for (const Tensor* t : {&gamma.value(), &beta.value(), &running_mean, &running_var}) {
    if (t->shape() != per_channel) {
      throw ShapeError("batch_norm_silu: input {} needs {} per channel, got {}", y.shape().str(),
                       per_channel.str(), t->str());
    }
    const DType wanted = y.dtype() == DType::kFloat64 ? DType::kFloat64 : DType::kFloat32;
    if (t->dtype() != wanted || t->device() != y.device()) {
      throw DTypeError("batch_norm_silu: input {} needs {} per channel, got {}", y.value().str(),
                       name_of(wanted), t->str());
    }
  }
  if (residual.defined() && residual.shape() != y.shape()) {
    throw ShapeError("batch_norm_silu: input is {}, residual {}", y.shape().str(),
                     residual.shape().str());
  }
  if (y.shape().numel() == y.shape()[-1]) {
    throw ValueError(
        "batch_norm_silu: input {} has one value a channel, which has no variance; "
        "use a larger batch or picture",
        y.shape().str());
  }
}

}  // namespace

Var batch_norm_silu(const Var& y, const Var& gamma, const Var& beta, const Tensor& running_mean,
                    const Tensor& running_var, const BatchNormOptions& options,
                    const Var& residual) {
  check(y, gamma, beta, running_mean, running_var, residual);
  const Device device = y.device();
  Tensor out = Tensor::empty(y.shape(), y.dtype(), device);
  if (out.numel() == 0) return Var(out);
  const Tensor add = residual.defined() ? residual.value() : Tensor();
  const BatchNormSaved saved =
      YD_BACKEND(device,
                 forward_on_cpu(y.value(), gamma.value(), beta.value(), running_mean, running_var,
                                options, add, out),
                 cuda::batch_norm_silu(y.value(), gamma.value(), beta.value(), running_mean,
                                       running_var, options, add, out));
  std::vector<Var> inputs{y, gamma, beta};
  if (residual.defined()) inputs.push_back(residual);
  const SavedValue saved_residual(residual);
  Var result = record(
      kBatchNormSilu, std::move(out), std::move(inputs),
      [device, saved, gamma, beta, y = y.value(),
       has_residual = residual.defined()](const Tensor& grad_out) {
        const bool overwrite = !has_residual && grad_out.is_unique();
        Grads grads(has_residual ? 4 : 3);
        grads[0] = overwrite ? grad_out : Tensor::empty(y.shape(), y.dtype(), device);
        YD_BACKEND(device, backward_on_cpu(grad_out, y, saved, gamma.grad(), beta.grad(), grads[0]),
                   cuda::batch_norm_silu_backward(grad_out, y, saved, gamma.grad(), beta.grad(),
                                                  grads[0]));
        if (has_residual) grads[3] = grad_out;
        return grads;
      });
  if (Tape::recomputes() && device.is_cpu()) {
    result.set_recompute([y = y.value(), saved, saved_residual] {
      return output_on_cpu(y, saved, saved_residual.get());
    });
  }
  return result;
}

void silu_inplace(const Tensor& x, const Tensor& residual) {
  if (residual.defined() && residual.shape() != x.shape()) {
    throw ShapeError("silu_inplace: input is {}, residual {}", x.str(), residual.str());
  }
  YD_BACKEND(x.device(), silu_on_cpu(x, residual), cuda::silu_inplace(x, residual));
}

}  // namespace ydistill
