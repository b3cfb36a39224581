// SPDX-License-Identifier: MIT
// Our own convolutions on one thread; an element is 16 of the definition's multiplications.
#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/conv_direct_kernels.h>
#include <ydistill/tensor/conv_grad_weight.h>
#include <ydistill/tensor/conv_int8.h>
#include <ydistill/tensor/conv_winograd_kernels.h>

#include <algorithm>
#include <memory>

#include "guard/kernel_list.h"

namespace ydistill::guard {
namespace {

/// The gradient of the weights of one layer.
void add_grad_weight(KernelList& kernels, const char* name, const Conv2dGeometry& g) {
  kernels.add(name, g.macs() / 16, [g] {
    const ConvGradWeightTask task =
        plan_conv_grad_weight(g, conv_grad_weight_kernels().in_block, 1);
    const int64_t group_step = task.num_weights();
    return [task, group_step, x = numbers<float>(g.input_shape().numel()),
            grad_y = numbers<float>(g.output_shape().numel(), 2),
            scratch = std::vector<float>(size_t(task.scratch)),
            sums = std::vector<float>(size_t(task.groups * group_step))]() mutable {
      conv_grad_weight_kernels().run_units(task, x.data(), grad_y.data(), 0, task.num_units(),
                                           scratch.data(), sums.data(), nullptr, group_step);
    };
  });
}

/// T: of x and y. With SiLU as at inference.
template <class T>
void add_direct(KernelList& kernels, const char* name, const Conv2dGeometry& g) {
  kernels.add(name, g.macs() / 16, [g] {
    const int64_t row = g.kernel * g.in_channels, width = g.out_width();
    DirectConv conv{};
    conv.x_dtype = conv.y_dtype = dtype_of<T>;
    conv.batch = 1;
    conv.in_height = g.in_height;
    conv.in_width = g.in_width;
    conv.in_channels = g.in_channels;
    conv.kernel_height = conv.kernel_width = g.kernel;
    conv.stride = g.options.stride;
    conv.top = conv.left = g.options.padding;
    conv.out_height = g.out_height();
    conv.out_width = width;
    conv.out_channels = g.out_channels;
    conv.picture_step = g.output_shape().numel();
    conv.row_step = width * g.out_channels;
    conv.pixel_step = g.out_channels;
    conv.silu = true;
    std::vector<float> packed(size_t(direct_conv_kernels().packed_size(conv)));
    const auto weights = numbers<float>(g.weight_shape().numel());
    direct_conv_kernels().pack(conv, {weights.data(), g.kernel * row, row, g.in_channels, 1},
                               packed.data());
    std::vector<float> scratch(size_t(widened_conv_kernels().scratch_size(conv, 1)));
    return [conv, packed, scratch, x = numbers<T>(g.input_shape().numel(), 2),
            y = std::vector<T>(size_t(g.output_shape().numel()))]() mutable {
      conv.x = x.data();
      conv.weights = packed.data();
      conv.y = y.data();
      if constexpr (std::is_same_v<T, float>) {
        direct_conv_kernels().run(conv);
      } else {
        widened_conv_kernels().run(conv, 1, scratch.data());
      }
    };
  });
}

/// Of bytes, with SiLU; by what CPUs without an instruction for that do.
void add_int8(KernelList& kernels, const char* name, const Conv2dGeometry& g) {
  kernels.add(name, g.macs() / 16, [g] {
    const Tensor weight = Tensor::empty(g.weight_shape());
    const auto weights = numbers<float>(weight.numel());
    std::copy(weights.begin(), weights.end(), weight.data<float>());
    const Quantization q{0.02f, 14};
    auto conv =
        std::make_shared<const Int8Conv>("guard", weight, Tensor(), g.options, Int8Edges{q, q, {}});
    const Tensor x = Tensor::empty(g.input_shape(), DType::kUInt8);
    for (int64_t i = 0; i < x.numel(); ++i) x.data<uint8_t>()[i] = uint8_t(37 * i);
    return [conv, x]() { conv->bias_silu(x); };
  });
}

const WinogradKernels& wide_stride_1_kernels() {
  return winograd_kernels().wide_stride_1;
}
const WinogradKernels& stride_1_kernels() {
  return winograd_kernels().stride_1;
}
const WinogradKernels& stride_2_kernels() {
  return winograd_kernels().stride_2;
}
const WinogradKernels& backward_kernels() {
  return winograd_kernels().stride_2_backward;
}

/// A picture of `size` pixels on a side and as many channels in as out; forward with SiLU.
void add_winograd(KernelList& kernels, const char* name, int64_t size, int64_t channels,
                  int64_t stride, const WinogradKernels& (*table)()) {
  const Conv2dGeometry g{1, size, size, channels, channels, 3, {stride, 1}};
  const bool is_backward = table == &backward_kernels;
  const int64_t out = g.out_height();
  kernels.add(name, g.macs() / 16, [=] {
    WinogradConv conv{};
    conv.batch = 1;
    conv.in_height = conv.in_width = is_backward ? out : size;
    conv.out_height = conv.out_width = is_backward ? size : out;
    conv.in_channels = conv.out_channels = channels;
    conv.silu = !is_backward;
    std::vector<float> packed(size_t(table().packed_size(conv)));
    const auto weights = numbers<float>(channels * 9 * channels);
    table().pack(conv, {weights.data(), 9 * channels, 3 * channels, channels, 1}, packed.data());
    return [conv, table, packed, x = numbers<float>(conv.in_height * conv.in_width * channels, 2),
            y = numbers<float>(conv.out_height * conv.out_width * channels),
            scratch = std::vector<float>(size_t(table().scratch_size(conv, 1)))]() mutable {
      conv.x = x.data();
      conv.weights = packed.data();
      conv.y = y.data();
      conv.scratch = scratch.data();
      table().run(conv, 1);
    };
  });
}

void add_winograd_grad(KernelList& kernels, int64_t size, int64_t channels) {
  const Conv2dGeometry g{1, size, size, channels, channels, 3, {1, 1}};
  const int64_t pixels = size * size * channels;
  kernels.add("conv_winograd.grad_weight", g.macs() / 16, [=] {
    WinogradGrad grad{};
    grad.batch = 1;
    grad.height = grad.width = size;
    grad.in_channels = grad.out_channels = channels;
    return [grad, x = numbers<float>(pixels), grad_y = numbers<float>(pixels, 2),
            sums = numbers<float>(channels * 9 * channels),
            scratch =
                std::vector<float>(size_t(winograd_grad_kernels().scratch_size(grad)))]() mutable {
      grad.x = x.data();
      grad.grad_y = grad_y.data();
      grad.grad_weights = sums.data();
      grad.scratch = scratch.data();
      winograd_grad_kernels().run(grad);
    };
  });
}

}  // namespace

void add_conv_kernels(KernelList& kernels) {
  add_grad_weight(kernels, "conv_grad_weight.3x3", {1, 20, 20, 48, 48, 3, {1, 1}});
  add_grad_weight(kernels, "conv_grad_weight.3x3_stride_2", {1, 20, 20, 48, 48, 3, {2, 1}});
  add_grad_weight(kernels, "conv_grad_weight.1x1", {1, 20, 20, 96, 96, 1, {1, 0}});
  add_grad_weight(kernels, "conv_grad_weight.1x1_direct", {1, 40, 40, 32, 32, 1, {1, 0}});
  add_grad_weight(kernels, "conv_grad_weight.stem", {1, 40, 40, 12, 32, 3, {1, 1}});
  add_direct<float>(kernels, "conv_direct.3x3_stride_2", {1, 40, 40, 48, 48, 3, {2, 1}});
  add_int8(kernels, "conv_int8.3x3_stride_2", {1, 40, 40, 48, 48, 3, {2, 1}});
  add_int8(kernels, "conv_int8.1x1", {1, 20, 20, 96, 96, 1, {1, 0}});
  add_direct<float>(kernels, "conv_direct.3x3", {1, 20, 20, 48, 48, 3, {1, 1}});
  add_direct<BFloat16>(kernels, "conv_widened.3x3_stride_2", {1, 40, 40, 48, 48, 3, {2, 1}});
  add_direct<BFloat16>(kernels, "conv_widened.1x1", {1, 20, 20, 96, 96, 1, {1, 0}});
  add_winograd(kernels, "conv_winograd.forward", 20, 48, 1, stride_1_kernels);
  add_winograd(kernels, "conv_winograd.forward_wide", 20, 48, 1, wide_stride_1_kernels);
  add_winograd(kernels, "conv_winograd.stride_2", 40, 48, 2, stride_2_kernels);
  add_winograd(kernels, "conv_winograd.stride_2_grad_input", 40, 48, 2, backward_kernels);
  add_winograd_grad(kernels, 20, 48);
}

}  // namespace ydistill::guard
