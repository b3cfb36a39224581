// SPDX-License-Identifier: MIT
// Convolutions are the CPU's, with operands rounded as the GPU's would be; products of matrices are
// plain loops over what the library would be told.
#include <ydistill/tensor/cuda/conv_plan.h>

#include <ydistill/tensor/conv.h>
#include <ydistill/tensor/cuda/conv_matmul.h>
#include <ydistill/tensor/math.h>

#include <cuda_runtime.h>

#include "conv_libraries.h"

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

/// out [m,n] = left [m,k] right [k,n], all columns first.
void multiply(const ConvProblem& p, const void* left_data, const void* right_data, void* out_data) {
  const ArenaScope heap(nullptr);
  const Matmul m = matmul_of(p);
  const Tensor left = read({m.left_columns(), m.left_rows()}, p.dtype, left_data);
  const Tensor right = read({m.right_columns(), m.right_rows()}, p.dtype, right_data);
  const Tensor out = Tensor::empty({m.n, m.m}, DType::kFloat32);
  for (int64_t j = 0; j < m.n; ++j) {
    for (int64_t i = 0; i < m.m; ++i) {
      double sum = 0;
      for (int64_t k = 0; k < m.k; ++k) {
        const int64_t l = m.transpose_left ? i * m.k + k : k * m.m + i;
        const int64_t r = m.transpose_right ? k * m.n + j : j * m.k + k;
        sum += double(left.data<float>()[l]) * double(right.data<float>()[r]);
      }
      out.data<float>()[j * m.m + i] = float(sum);
    }
  }
  write(out, p.dtype, out_data);
}

cuda_emulator::ConvTimes times;
std::string version = "1";
int runs = 0;
int failing = 0;

/// The kernel `number` of a library.
class EmulatedPlan : public ConvPlan {
 public:
  EmulatedPlan(const ConvProblem& problem, const ConvLibrary& library, int number)
      : problem_(problem), library_(library), number_(number) {}
  std::string name() const override { return library_.name() + " kernel " + saved(); }
  int64_t workspace_bytes() const override { return 0; }
  std::string saved() const override { return std::to_string(number_); }
  void run(const ConvOperands& operands, void*) const override {
    const bool is_product = &library_ == &cublas_library();
    if (!is_product && number_ < failing)
      throw LibraryError("emulated cuDNN: no code for this GPU");
    const double ms =
        is_product ? times.cublas : (number_ == 0 ? times.cudnn_first : times.cudnn_second);
    cuda_emulator::enqueue([p = problem_, o = operands, is_product, ms] {
      ++runs;
      cuda_emulator::pass(ms);
      is_product ? multiply(p, o.b, o.a, o.out) : ydistill::cuda::run(p, o.a, o.b, o.bias, o.out);
    });
  }

 private:
  ConvProblem problem_;
  const ConvLibrary& library_;
  int number_;
};

template <const ConvLibrary& (*kLibrary)(), int kKernels>
std::vector<ConvPlanBuilder> kernels_of(const ConvProblem& problem) {
  std::vector<ConvPlanBuilder> builders;
  for (int i = 0; i < kKernels; ++i) {
    builders.push_back([=] { return std::make_unique<EmulatedPlan>(problem, kLibrary(), i); });
  }
  return builders;
}

template <const ConvLibrary& (*kLibrary)(), int kKernels>
std::unique_ptr<ConvPlan> restore(const ConvProblem& problem, const std::string& saved,
                                  std::string& reason) {
  const auto builders = kernels_of<kLibrary, kKernels>(problem);
  if (saved.size() == 1 && saved[0] >= '0' && saved[0] < '0' + kKernels) {
    return builders[size_t(saved[0] - '0')]();
  }
  reason = "no such kernel";
  return nullptr;
}

/// Fused in bfloat16 alone, so that the path around it is run too.
std::vector<ConvPlanBuilder> cudnn_plans(const ConvProblem& problem, std::string& reason) {
  if (!problem.bias_silu || problem.dtype == DType::kBFloat16) {
    return kernels_of<cudnn_library, 2>(problem);
  }
  reason = "not fused in float32";
  return {};
}

std::vector<ConvPlanBuilder> cublas_plans(const ConvProblem& problem, std::string& reason) {
  if (is_matmul(problem)) return kernels_of<cublas_library, 1>(problem);
  reason = "not a product of matrices";
  return {};
}

}  // namespace

const ConvLibrary& cudnn_library() {
  static constexpr ConvLibrary kLibrary{"emulated cuDNN",
                                        [] { return "emulated cuDNN " + version; }, cudnn_plans,
                                        restore<cudnn_library, 2>};
  return kLibrary;
}

const ConvLibrary& cublas_library() {
  static constexpr ConvLibrary kLibrary{"emulated cuBLASLt",
                                        [] { return "emulated cuBLASLt " + version; }, cublas_plans,
                                        restore<cublas_library, 1>};
  return kLibrary;
}

}  // namespace ydistill::cuda

namespace cuda_emulator {

ConvLibraries::ConvLibraries(const ConvTimes& times, std::string version) {
  ydistill::cuda::times = times;
  ydistill::cuda::version = std::move(version);
  ydistill::cuda::runs = 0;
}
ConvLibraries::~ConvLibraries() {
  ydistill::cuda::times = {};
  ydistill::cuda::version = "1";
  ydistill::cuda::failing = 0;
}
void ConvLibraries::fail_first(int count) {
  ydistill::cuda::failing = count;
}
int ConvLibraries::runs() const {
  return ydistill::cuda::runs;
}

}  // namespace cuda_emulator
