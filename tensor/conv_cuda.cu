// SPDX-License-Identifier: MIT
// What surrounds the library's convolution: weights in the activations' dtype, padding of channels,
// biases, and adding to gradients.
#include <ydistill/tensor/cuda/channel_rows.h>
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/cuda/divider.h>
#include <ydistill/tensor/error.h>
#include <ydistill/tensor/math.h>

namespace ydistill::cuda {
namespace {

thread_local bool tf32_allowed = false, may_fuse = false;

ConvProblem problem_of(const Conv2dGeometry& wide, DType dtype, ConvDirection direction) {
  return {wide, dtype, direction, false, dtype == DType::kFloat32 && tf32_allowed};
}

/// to[row][c] = from[row][c] converted, 0 for channels that only `to` has; channels that only
/// `from` has are left out.
template <class To, class From>
struct Recast {
  const From* from;
  To* to;
  int64_t from_channels;
  Divider to_channels;
  __device__ void operator()(int64_t i) const {
    const auto [row, c] = to_channels(i);
    to[i] = c < from_channels ? To(float(from[row * from_channels + c])) : To(0.0f);
  }
};

/// Calls f(To(), From()) for float32 and bfloat16.
template <class F>
void dispatch_pair(DType to, DType from, F&& f) {
  const auto is_bf16 = [](DType dtype) {
    if (dtype != DType::kFloat32 && dtype != DType::kBFloat16) {
      throw DTypeError("conv2d: on a GPU it takes float32 or bfloat16, got {}", name_of(dtype));
    }
    return dtype == DType::kBFloat16;
  };
  if (is_bf16(to)) {
    is_bf16(from) ? f(BFloat16(), BFloat16()) : f(BFloat16(), float());
  } else {
    is_bf16(from) ? f(float(), BFloat16()) : f(float(), float());
  }
}

void recast(const Tensor& from, int64_t from_channels, const Tensor& to, int64_t to_channels) {
  dispatch_pair(to.dtype(), from.dtype(), [&](auto to_type, auto from_type) {
    using To = decltype(to_type);
    using From = decltype(from_type);
    for_each(to.numel(), Recast<To, From>{from.device_data<From>(), to.device_data<To>(),
                                          from_channels, Divider(to_channels)});
  });
}

/// The tensor in this dtype and with this many channels: `t` itself if it has both already.
Tensor widened(const Tensor& t, DType dtype, int64_t channels) {
  const Shape& s = t.shape();
  if (t.dtype() == dtype && s[3] == channels) return t;
  const Tensor wide = Tensor::empty({s[0], s[1], s[2], channels}, dtype, t.device());
  recast(t, s[3], wide, channels);
  return wide;
}

/// Weights [O,K,K,C] float32 to [Op,K,K,Cp], padded with zeros.
template <class T>
struct PackWeights {
  const float* from;
  T* to;
  int64_t rows, in_channels;  // rows: output channels times taps
  Divider wide_in;
  __device__ void operator()(int64_t i) const {
    const auto [row, c] = wide_in(i);
    const bool real = c < in_channels && row < rows;
    to[i] = real ? T(from[row * in_channels + c]) : T(0.0f);
  }
};

/// grad [O,K,K,C] += wide [Op,K,K,Cp]
template <class T>
struct AddWeightGrad {
  const T* wide;
  float* grad;
  int64_t wide_in;
  Divider in_channels;
  __device__ void operator()(int64_t i) const {
    const auto [row, c] = in_channels(i);
    grad[i] += float(wide[row * wide_in + c]);
  }
};

template <class F>
void dispatch_one(DType dtype, F&& f) {
  dispatch_pair(dtype, dtype, [&](auto type, auto) { f(type); });
}

template <class T>
void pack(const Conv2dGeometry& g, const Conv2dGeometry& wide, const Tensor& weight,
          const Tensor& copy) {
  for_each(copy.numel(), PackWeights<T>{weight.device_data<float>(), copy.device_data<T>(),
                                        g.out_channels * g.kernel * g.kernel, g.in_channels,
                                        Divider(wide.in_channels)});
}

/// The weights as the library takes them. A copy kept in `packed` is made anew only if its version
/// differs.
Tensor packed_weights(const Conv2dGeometry& g, const Conv2dGeometry& wide, const Tensor& weight,
                      DType dtype, PackedWeights* packed, uint64_t version) {
  if (dtype == DType::kFloat32 && wide.weight_shape() == g.weight_shape()) return weight;
  const bool keep = packed != nullptr && version != 0;
  Tensor copy = keep ? packed->device_copy().weights : Tensor();
  const bool fits = copy.defined() && copy.shape() == wide.weight_shape() &&
                    copy.dtype() == dtype && copy.device() == weight.device();
  if (fits && packed->device_copy().version == version) return copy;
  if (!fits && keep) {
    const ArenaScope heap(nullptr);  // outlives the step
    copy = Tensor::empty(wide.weight_shape(), dtype, weight.device());
  } else if (!fits) {
    copy = Tensor::empty(wide.weight_shape(), dtype, weight.device());
  }
  dispatch_one(dtype, [&](auto type) { pack<decltype(type)>(g, wide, weight, copy); });
  if (keep) packed->device_copy() = {copy, version};
  return copy;
}

/// out[row][c] = wide[row][c] + bias[c], float32
template <class T>
struct AddBias {
  const T* wide;
  const float* bias;
  float* out;
  int64_t wide_channels;
  Divider channels;
  __device__ void operator()(int64_t i) const {
    const auto [row, c] = channels(i);
    out[i] = float(wide[row * wide_channels + c]) + bias[c];
  }
};

/// out = silu(in + bias) + residual
template <class T, int N>
struct BiasSilu {
  const T* in;
  const float* bias;  // null: `in` already has the bias and SiLU
  const T* residual;  // or null
  T* out;
  struct Channels {
    Pack<float, N> bias;
  };
  __device__ Channels of_channels(int64_t first) const {
    return bias == nullptr ? Channels{} : Channels{load<float, N>(bias + first)};
  }
  __device__ void operator()(const Channels& c, int64_t at) const {
    const auto v = load<T, N>(in + at);
    float z[N];
    for (int k = 0; k < N; ++k) {
      z[k] = float(v.v[k]);
      if (bias != nullptr) z[k] = silu(z[k] + c.bias.v[k]);
    }
    if (residual != nullptr) {
      const auto add = load<T, N>(residual + at);
      for (int k = 0; k < N; ++k) z[k] += float(add.v[k]);
    }
    Pack<T, N> result;
    for (int k = 0; k < N; ++k) result.v[k] = T(z[k]);
    store(out + at, result);
  }
};

/// Sums per channel of a float32 or bfloat16 [rows, channels], for column_sums.
template <class T>
struct ColumnOf {
  const T* values;
  struct Channels {};
  __device__ Channels of_channels(int64_t) const { return {}; }
  __device__ void operator()(const Channels&, int64_t at, float* a, float*) const {
    a[0] += float(values[at]);
  }
};

struct AddTo {
  float* to;
  __device__ void operator()(int64_t c, double sum, double) const { to[c] += float(sum); }
};

void add_bias_grad(const Tensor& grad_y, const Tensor& grad_bias) {
  const int64_t channels = grad_y.size(3);
  dispatch_one(grad_y.dtype(), [&](auto type) {
    using T = decltype(type);
    column_sums<1>(grad_y.device(), grad_y.numel() / channels, channels,
                   ColumnOf<T>{grad_y.device_data<T>()}, AddTo{grad_bias.device_data<float>()});
  });
}

}  // namespace

void set_allow_tf32(bool allow) {
  tf32_allowed = allow;
}

void set_fuse_inference(bool fuse) {
  may_fuse = fuse;
}

bool allow_tf32() {
  return tf32_allowed;
}

void conv2d_forward(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version) {
  const DType dtype = x.dtype();
  const Conv2dGeometry wide = padded(g, dtype);
  const Tensor in = widened(x, dtype, wide.in_channels);
  const Tensor weights = packed_weights(g, wide, weight, dtype, packed, version);
  const bool direct = !bias.defined() && wide.out_channels == g.out_channels;
  const Tensor out = direct ? y : Tensor::empty(wide.output_shape(), dtype, x.device());
  run_conv_engine(problem_of(wide, dtype, ConvDirection::kForward), in.raw(), weights.raw(),
                  nullptr, out.raw());
  if (direct) return;
  if (!bias.defined()) return recast(out, wide.out_channels, y, g.out_channels);
  dispatch_one(dtype, [&](auto type) {
    using T = decltype(type);
    for_each(y.numel(),
             AddBias<T>{out.device_data<T>(), bias.device_data<float>(), y.device_data<float>(),
                        wide.out_channels, Divider(g.out_channels)});
  });
}

Tensor conv2d_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                        const Tensor& residual, const Conv2dOptions& options, PackedWeights* packed,
                        uint64_t version) {
  const Conv2dGeometry g = conv2d_geometry(x.shape(), weight.shape(), options);
  const DType dtype = x.dtype();
  const Conv2dGeometry wide = padded(g, dtype);
  const Tensor in = widened(x, dtype, wide.in_channels);
  const Tensor weights = packed_weights(g, wide, weight, dtype, packed, version);
  const bool same_channels = wide.out_channels == g.out_channels;
  ConvProblem problem = problem_of(wide, dtype, ConvDirection::kForward);
  problem.bias_silu = true;
  // Without tensor cores only one generic engine is left, and compiling it may take 20 s.
  const bool may_use_tensor_cores = dtype == DType::kBFloat16 || problem.tf32;
  const Tensor out = Tensor::empty(wide.output_shape(), dtype, x.device());
  const bool fused = may_fuse && may_use_tensor_cores && same_channels &&
                     try_conv_engine(problem, in.raw(), weights.raw(), bias.raw(), out.raw());
  if (!fused) {
    problem.bias_silu = false;
    run_conv_engine(problem, in.raw(), weights.raw(), nullptr, out.raw());
  }
  if (fused && !residual.defined()) return out;
  Tensor y = out;
  if (!same_channels) {
    y = Tensor::empty(g.output_shape(), dtype, x.device());
    recast(out, wide.out_channels, y, g.out_channels);
  }
  dispatch_rows(dtype, g.out_channels, "conv2d", [&](auto type, auto width) {
    using T = decltype(type);
    constexpr int N = decltype(width)::value;
    for_each_row<N>(y.numel() / g.out_channels, g.out_channels,
                    BiasSilu<T, N>{y.device_data<T>(), fused ? nullptr : bias.device_data<float>(),
                                   residual.defined() ? residual.device_data<T>() : nullptr,
                                   y.device_data<T>()});
  });
  return y;
}

void conv2d_backward_input(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version) {
  const DType dtype = grad_x.dtype();
  const Conv2dGeometry wide = padded(g, dtype);
  const Tensor in = widened(grad_y, dtype, wide.out_channels);
  const Tensor weights = packed_weights(g, wide, weight, dtype, packed, version);
  const bool direct = wide.in_channels == g.in_channels;
  const Tensor out = direct ? grad_x : Tensor::empty(wide.input_shape(), dtype, grad_x.device());
  run_conv_engine(problem_of(wide, dtype, ConvDirection::kBackwardInput), in.raw(), weights.raw(),
                  nullptr, out.raw());
  if (!direct) recast(out, wide.in_channels, grad_x, g.in_channels);
}

void conv2d_backward_weight(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  const DType dtype = x.dtype();
  const Conv2dGeometry wide = padded(g, dtype);
  const Tensor in = widened(x, dtype, wide.in_channels);
  const Tensor grad = widened(grad_y, dtype, wide.out_channels);
  const Tensor out = Tensor::empty(wide.weight_shape(), dtype, x.device());
  run_conv_engine(problem_of(wide, dtype, ConvDirection::kBackwardWeight), grad.raw(), in.raw(),
                  nullptr, out.raw());
  dispatch_one(dtype, [&](auto type) {
    using T = decltype(type);
    for_each(grad_weight.numel(),
             AddWeightGrad<T>{out.device_data<T>(), grad_weight.device_data<float>(),
                              wide.in_channels, Divider(g.in_channels)});
  });
  if (grad_bias.defined()) add_bias_grad(grad_y, grad_bias);
}

}  // namespace ydistill::cuda
