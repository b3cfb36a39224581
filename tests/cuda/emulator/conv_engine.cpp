// SPDX-License-Identifier: MIT
// The library's convolution, emulated: the CPU's, with operands rounded as the GPU's would be.
#include <ydistill/tensor/cuda/conv_engine.h>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/cuda/conv.h>
#include <ydistill/tensor/math.h>

#include <cuda_runtime.h>

namespace ydistill::cuda {
namespace {

/// Reads numbers of the dtype as float32.
Tensor read(const Shape& shape, DType dtype, const void* data) {
  const Tensor t = Tensor::empty(shape, DType::kFloat32);
  if (dtype == DType::kFloat32) {
    std::copy_n(static_cast<const float*>(data), t.numel(), t.data<float>());
  } else {
    const auto* from = static_cast<const BFloat16*>(data);
    for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = float(from[i]);
  }
  return t;
}

void write(const Tensor& t, DType dtype, void* data) {
  const float* from = t.data<float>();
  if (dtype == DType::kFloat32) {
    std::copy_n(from, t.numel(), static_cast<float*>(data));
  } else {
    for (int64_t i = 0; i < t.numel(); ++i) static_cast<BFloat16*>(data)[i] = BFloat16(from[i]);
  }
}

/// silu(y + bias)
void add_bias_silu(const Tensor& y, const float* bias) {
  const int64_t channels = y.size(3);
  for (int64_t i = 0; i < y.numel(); ++i) {
    y.data<float>()[i] = silu(y.data<float>()[i] + bias[i % channels]);
  }
}

void run(const ConvProblem& p, const void* a, const void* b, const void* bias, void* out) {
  const ArenaScope heap(nullptr);
  const Shape x = p.g.input_shape(), y = p.g.output_shape(), w = p.g.weight_shape();
  switch (p.direction) {
    case ConvDirection::kForward: {
      const Tensor y = conv2d_forward(read(x, p.dtype, a), read(w, p.dtype, b), {}, p.g.options);
      if (p.bias_silu) add_bias_silu(y, static_cast<const float*>(bias));
      return write(y, p.dtype, out);
    }
    case ConvDirection::kBackwardInput:
      return write(conv2d_backward_input(read(y, p.dtype, a), read(w, p.dtype, b), x,
                                         DType::kFloat32, p.g.options),
                   p.dtype, out);
    case ConvDirection::kBackwardWeight: {
      const Tensor grad = Tensor::zeros(w);
      conv2d_backward_weight(read(y, p.dtype, a), read(x, p.dtype, b), p.g.options, grad, {});
      return write(grad, p.dtype, out);
    }
  }
}

}  // namespace

void set_autotune(bool) {}

/// Fused in bfloat16 alone, so that the path around it is run too.
bool has_conv_engine(const ConvProblem& problem) {
  return !problem.bias_silu || problem.dtype == DType::kBFloat16;
}

void run_conv_engine(const ConvProblem& problem, const void* a, const void* b, const void* bias,
                     void* out) {
  cuda_emulator::enqueue([=] { run(problem, a, b, bias, out); });
}

std::vector<std::string> conv_engine_report() {
  return {};
}

std::string conv_engine_name() {
  return "emulated GPU";
}

}  // namespace ydistill::cuda
