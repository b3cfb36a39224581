// SPDX-License-Identifier: MIT
// Checks and dispatch of the convolution: our own kernels or oneDNN where they take the case,
// else the plain loops.
#include <ydistill/tensor/conv.h>

#include <ydistill/tensor/conv_native.h>
#include <ydistill/tensor/conv_plans.h>
#include <ydistill/tensor/conv_reference.h>
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/cuda/conv_engine.h>
#include <ydistill/tensor/dry_run.h>
#ifdef YD_HAVE_ONEDNN
#include <ydistill/tensor/conv_onednn.h>
#endif

namespace ydistill {

#ifndef YD_HAVE_ONEDNN
struct PackedWeights::Impl {};
PackedWeights::PackedWeights() = default;
PackedWeights::~PackedWeights() = default;
PackedWeights::PackedWeights(PackedWeights&&) noexcept = default;
PackedWeights& PackedWeights::operator=(PackedWeights&&) noexcept = default;
#endif

namespace {

/// `masters` (weights, biases, their gradients) are float64 if the activations are, else float32.
void check_operands(std::initializer_list<const Tensor*> activations,
                    std::initializer_list<const Tensor*> masters) {
  const Tensor& first = **activations.begin();
  const auto check = [&](const Tensor& t, DType wanted) {
    if (!t.defined()) return;
    if (t.device() != first.device()) {
      throw DeviceError("conv2d: operands are on {} and {}", first.device().str(),
                        t.device().str());
    }
    if (t.dtype() != wanted) {
      throw DTypeError("conv2d: operands are {} and {}", name_of(wanted), name_of(t.dtype()));
    }
  };
  const bool is_double = first.dtype() == DType::kFloat64;
  for (const Tensor* t : activations) check(*t, is_double ? DType::kFloat64 : t->dtype());
  for (const Tensor* t : masters) check(*t, is_double ? DType::kFloat64 : DType::kFloat32);
}

void check_bias(const Tensor& bias, const Conv2dGeometry& g) {
  if (bias.defined() && bias.shape() != Shape{g.out_channels}) {
    throw ShapeError("conv2d: bias is {}, {} output channels need [{}]", bias.str(), g.out_channels,
                     g.out_channels);
  }
}

void check_grad(const Tensor& grad_y, const Conv2dGeometry& g) {
  if (grad_y.shape() != g.output_shape()) {
    throw ShapeError("conv2d: the gradient of the output is {}, expected {}", grad_y.str(),
                     g.output_shape().str());
  }
}

template <class T>
T* data_or_null(const Tensor& t) {
  return t.defined() ? t.data<T>() : nullptr;
}

bool is_bf16(const Tensor& t) {
  return t.dtype() == DType::kBFloat16;
}

}  // namespace

Conv2dGeometry conv2d_geometry(const Shape& x, const Shape& weight, const Conv2dOptions& options) {
  if (x.rank() != 4 || weight.rank() != 4) {
    throw ShapeError("conv2d: takes an input [N,H,W,C] and a weight [O,K,K,C], got {} and {}",
                     x.str(), weight.str());
  }
  if (weight[3] != x[3]) {
    throw ShapeError("conv2d: weight {} needs {} input channels, input {} has {}", weight.str(),
                     weight[3], x.str(), x[3]);
  }
  if (weight.numel() == 0) throw ShapeError("conv2d: weight {} has no numbers", weight.str());
  if (weight[1] != weight[2] || options.stride < 1 || options.padding < 0) {
    throw ShapeError(
        "conv2d: kernel {}x{} stride {} padding {}: the kernel must be square, the "
        "stride >= 1 and the padding >= 0",
        weight[1], weight[2], options.stride, options.padding);
  }
  const Conv2dGeometry g{x[0], x[1], x[2], x[3], weight[0], weight[1], options};
  if (g.in_height + 2 * options.padding < g.kernel || g.in_width + 2 * options.padding < g.kernel) {
    throw ShapeError("conv2d: input {} is smaller than the kernel {}x{}", x.str(), g.kernel,
                     g.kernel);
  }
  return g;
}

namespace {

// Where there is no bfloat16 kernel, the result is computed in float32 and rounded.

void forward_on_cpu(const Conv2dGeometry& g, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, const Tensor& y, PackedWeights* packed, uint64_t version) {
  if (native::takes(ConvDirection::kForward, g, x.dtype())) {
    return native::conv2d_forward(g, x, weight, bias, y);
  }
#ifdef YD_HAVE_ONEDNN
  if (onednn::conv2d_forward(g, x, weight, bias, y, packed, version)) return;
#endif
  if (is_bf16(x)) {
    const Tensor wide = Tensor::empty(y.shape());
    forward_on_cpu(g, x.to(DType::kFloat32), weight, bias, wide, packed, version);
    y.copy_from(wide);
    return;
  }
  if (DryRun::is_on()) return;
  dispatch_float(x.dtype(), "conv2d", [&](auto type) {
    using T = decltype(type);
    conv2d_forward_reference<T>(g, x.data<T>(), weight.data<T>(), data_or_null<T>(bias),
                                y.data<T>());
  });
}

void backward_input_on_cpu(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& weight,
                           const Tensor& grad_x, PackedWeights* packed, uint64_t version) {
  // Logits are float32; their gradient is converted to the dtype of the other activations.
  if (grad_y.dtype() != grad_x.dtype()) {
    return backward_input_on_cpu(g, grad_y.to(grad_x.dtype()), weight, grad_x, packed, version);
  }
  if (native::takes(ConvDirection::kBackwardInput, g, grad_y.dtype())) {
    return native::conv2d_backward_input(g, grad_y, weight, grad_x);
  }
#ifdef YD_HAVE_ONEDNN
  if (onednn::conv2d_backward_input(g, grad_y, weight, grad_x, packed, version)) return;
#endif
  if (is_bf16(grad_y)) {
    const Tensor wide = Tensor::empty(grad_x.shape());
    backward_input_on_cpu(g, grad_y.to(DType::kFloat32), weight, wide, packed, version);
    grad_x.copy_from(wide);
    return;
  }
  if (DryRun::is_on()) return;
  dispatch_float(grad_y.dtype(), "conv2d", [&](auto type) {
    using T = decltype(type);
    conv2d_backward_input_reference<T>(g, grad_y.data<T>(), weight.data<T>(), grad_x.data<T>());
  });
}

void backward_weight_on_cpu(const Conv2dGeometry& g, const Tensor& grad_y, const Tensor& x,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  if (grad_y.dtype() != x.dtype()) {
    return backward_weight_on_cpu(g, grad_y.to(x.dtype()), x, grad_weight, grad_bias);
  }
  if (native::takes(ConvDirection::kBackwardWeight, g, x.dtype())) {
    return native::conv2d_backward_weight(g, grad_y, x, grad_weight, grad_bias);
  }
#ifdef YD_HAVE_ONEDNN
  if (onednn::conv2d_backward_weight(g, grad_y, x, grad_weight, grad_bias)) return;
#endif
  if (is_bf16(x)) {
    return backward_weight_on_cpu(g, grad_y.to(DType::kFloat32), x.to(DType::kFloat32), grad_weight,
                                  grad_bias);
  }
  if (DryRun::is_on()) return;
  dispatch_float(x.dtype(), "conv2d", [&](auto type) {
    using T = decltype(type);
    conv2d_backward_weight_reference<T>(g, grad_y.data<T>(), x.data<T>(), grad_weight.data<T>(),
                                        data_or_null<T>(grad_bias));
  });
}

}  // namespace

Tensor conv2d_forward(const Tensor& x, const Tensor& weight, const Tensor& bias,
                      const Conv2dOptions& options, PackedWeights* packed, uint64_t version) {
  const bool logits = is_bf16(x) && bias.defined();
  return conv2d_forward_as(logits ? DType::kFloat32 : x.dtype(), x, weight, bias, options, packed,
                           version);
}

Tensor conv2d_forward_as(DType y_dtype, const Tensor& x, const Tensor& weight, const Tensor& bias,
                         const Conv2dOptions& options, PackedWeights* packed, uint64_t version) {
  const Conv2dGeometry g = conv2d_geometry(x.shape(), weight.shape(), options);
  check_operands({&x}, {&weight, &bias});
  check_bias(bias, g);
  if (y_dtype != x.dtype() && !(is_bf16(x) && y_dtype == DType::kFloat32)) {
    throw DTypeError("conv2d: an output of {} from an input of {}", name_of(y_dtype),
                     name_of(x.dtype()));
  }
  const Tensor y = Tensor::empty(g.output_shape(), y_dtype, x.device());
  if (y.numel() == 0) return y;
  YD_BACKEND(x.device(), forward_on_cpu(g, x, weight, bias, y, packed, version),
             cuda::conv2d_forward(g, x, weight, bias, y, packed, version));
  return y;
}

void check_slice(const ChannelSlice& to, const Shape& output) {
  const Shape& whole = to.whole.shape();
  const bool fits = whole.rank() == 4 && whole[0] == output[0] && whole[1] == output[1] &&
                    whole[2] == output[2] && to.first >= 0 && to.first + output[3] <= whole[3];
  if (!fits) {
    throw ShapeError("conv2d: an output {} does not fit into {} from channel {} on", output.str(),
                     to.whole.str(), to.first);
  }
}

namespace {

/// A residual, and the tensor that a slice is part of, have x's dtype and device.
void check_like(const Tensor& whole, const Tensor& x) {
  if (whole.dtype() != x.dtype()) {
    throw DTypeError("conv2d: operands are {} and {}", name_of(x.dtype()), name_of(whole.dtype()));
  }
  if (whole.device() != x.device()) {
    throw DeviceError("conv2d: operands are on {} and {}", x.device().str(), whole.device().str());
  }
}

Conv2dGeometry check_bias_silu(const Tensor& x, const Tensor& weight, const Tensor& bias,
                               const Tensor& residual, const Conv2dOptions& options) {
  const Conv2dGeometry g = conv2d_geometry(x.shape(), weight.shape(), options);
  check_operands({&x}, {&weight, &bias});
  check_bias(bias, g);
  if (residual.defined() && residual.shape() != g.output_shape()) {
    throw ShapeError("conv2d: residual {} beside an output {}", residual.str(),
                     g.output_shape().str());
  }
  if (residual.defined()) check_like(residual, x);
  return g;
}

}  // namespace

bool conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                  const Tensor& residual, const Conv2dOptions& options,
                                  PackedWeights* packed, uint64_t version, const ChannelSlice& to) {
  const Conv2dGeometry g = check_bias_silu(x, weight, bias, residual, options);
  check_slice(to, g.output_shape());
  check_like(to.whole, x);
  if (!x.device().is_cpu()) return false;
  if (g.output_shape().numel() == 0) return true;
  if (!native::writes_slices(x.dtype()) ||
      !native::takes(ConvDirection::kForward, g, x.dtype(), packed != nullptr && version != 0)) {
    return false;
  }
  native::conv2d_bias_silu(g, x, weight, bias, residual, to, packed, version);
  return true;
}

Tensor conv2d_bias_silu_in_one_pass(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& residual, const Conv2dOptions& options,
                                    PackedWeights* packed, uint64_t version) {
  const Conv2dGeometry g = check_bias_silu(x, weight, bias, residual, options);
  if (!x.device().is_cpu() || g.output_shape().numel() == 0) return {};
  const auto output = [&] { return Tensor::empty(g.output_shape(), x.dtype()); };
  const bool keeps = packed != nullptr && version != 0;
  if (native::takes(ConvDirection::kForward, g, x.dtype(), keeps)) {
    const Tensor y = output();
    native::conv2d_bias_silu(g, x, weight, bias, residual, {y, 0}, packed, version);
    return y;
  }
#ifdef YD_HAVE_ONEDNN
  if (!residual.defined() && onednn::fuses_silu(x.dtype())) {
    const Tensor y = output();
    if (onednn::conv2d_bias_silu(g, x, weight, bias, y, packed, version)) return y;
  }
#endif
  return {};
}

Tensor conv2d_backward_input(const Tensor& grad_y, const Tensor& weight, const Shape& x_shape,
                             DType x_dtype, const Conv2dOptions& options, PackedWeights* packed,
                             uint64_t version) {
  const Conv2dGeometry g = conv2d_geometry(x_shape, weight.shape(), options);
  check_operands({&grad_y}, {&weight});
  check_grad(grad_y, g);
  const Tensor grad_x = Tensor::empty(x_shape, x_dtype, grad_y.device());
  if (grad_x.numel() == 0) return grad_x;
  YD_BACKEND(grad_y.device(), backward_input_on_cpu(g, grad_y, weight, grad_x, packed, version),
             cuda::conv2d_backward_input(g, grad_y, weight, grad_x, packed, version));
  return grad_x;
}

void conv2d_backward_weight(const Tensor& grad_y, const Tensor& x, const Conv2dOptions& options,
                            const Tensor& grad_weight, const Tensor& grad_bias) {
  const Conv2dGeometry g = conv2d_geometry(x.shape(), grad_weight.shape(), options);
  check_operands({&grad_y, &x}, {&grad_weight, &grad_bias});
  check_grad(grad_y, g);
  check_bias(grad_bias, g);
  if (x.numel() == 0) return;
  YD_BACKEND(x.device(), backward_weight_on_cpu(g, grad_y, x, grad_weight, grad_bias),
             cuda::conv2d_backward_weight(g, grad_y, x, grad_weight, grad_bias));
}

namespace {

std::vector<std::string> plan_report_of_cpu() {
#ifdef YD_HAVE_ONEDNN
  return onednn::plan_report();
#else
  return {};
#endif
}

std::string backend_name_of_cpu() {
#ifdef YD_HAVE_ONEDNN
  const std::string own = native::name();
  return own.empty() ? onednn::name() : own + ", " + onednn::name();
#else
  return native::name() + ", plain loops";
#endif
}

}  // namespace

#ifdef YD_HAVE_ONEDNN
ConvStep::ConvStep() : began_(onednn::begin_step()) {}
ConvStep::~ConvStep() {
  onednn::end_step(began_);
}
#else
ConvStep::ConvStep() = default;
ConvStep::~ConvStep() = default;
#endif

std::vector<std::string> conv_plan_report([[maybe_unused]] Device device) {
  return YD_BACKEND(device, plan_report_of_cpu(), cuda::conv_engine_report());
}

std::vector<SavedConvPlan> save_conv_plans([[maybe_unused]] Device device) {
  return YD_BACKEND(device, std::vector<SavedConvPlan>(), cuda::save_conv_plans());
}

uint64_t conv_plans_revision([[maybe_unused]] Device device) {
  return YD_BACKEND(device, 0, cuda::conv_plans_revision());
}

std::vector<std::string> take_conv_notes([[maybe_unused]] Device device) {
  return YD_BACKEND(device, std::vector<std::string>(), cuda::take_conv_notes());
}

void offer_conv_plans([[maybe_unused]] Device device,
                      [[maybe_unused]] const std::vector<SavedConvPlan>& plans) {
  YD_BACKEND(device, void(), cuda::offer_conv_plans(plans));
}

std::string conv_backend_name([[maybe_unused]] Device device) {
  return YD_BACKEND(device, backend_name_of_cpu(), cuda::conv_engine_name());
}

}  // namespace ydistill
