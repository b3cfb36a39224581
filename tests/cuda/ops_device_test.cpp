// SPDX-License-Identifier: MIT
// Every registered op on the GPU against the same op on the CPU, over the table of tests/ops.
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>

#include "cuda/gpu.h"
#include "ops/op_cases.h"

namespace ydistill::test {
namespace {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases = layer_op_cases();
  for (OpCase& c : loss_op_cases()) cases.push_back(std::move(c));
  return cases;
}

struct Result {
  std::vector<Tensor> outputs, grads;  // on the CPU, float64
};

/// Forward and backward of inputs rounded to `dtype` (float32 where the case says so), with fixed
/// weights on the outputs. The CPU has no bfloat16: it takes the rounded numbers as float32.
Result run(const OpCase& c, DType dtype, Device device) {
  std::vector<Var> leaves;
  for (size_t i = 0; i < c.inputs.size(); ++i) {
    const Tensor rounded = c.inputs[i].to(c.always_float.count(i) ? DType::kFloat32 : dtype);
    leaves.push_back(Var::leaf(device.is_cpu() ? rounded.to(DType::kFloat32) : rounded.to(device)));
  }
  Tape tape;
  const std::vector<Var> outputs = c.run(leaves);
  Result result;
  std::vector<Tensor> weights;
  for (const Var& out : outputs) {
    // Rounded alike for both.
    const Tensor w = Rng(99).uniform(out.shape(), -1, 1, DType::kFloat64).to(dtype);
    weights.push_back(w.to(device.is_cpu() ? DType::kFloat32 : out.dtype()).to(device));
    result.outputs.push_back(out.value().to(Device::cpu()).to(DType::kFloat64));
  }
  tape.backward(outputs, weights);
  for (const Var& leaf : leaves) {
    result.grads.push_back(leaf.grad().to(Device::cpu()).to(DType::kFloat64));
  }
  return result;
}

void check_close(const Tensor& got, const Tensor& expected, double tolerance) {
  REQUIRE(got.shape() == expected.shape());
  double scale = 1e-6;
  for (int64_t i = 0; i < expected.numel(); ++i) scale = std::max(scale, std::abs(expected.at(i)));
  for (int64_t i = 0; i < got.numel(); ++i) {
    if (!(std::abs(got.at(i) - expected.at(i)) <= tolerance * scale)) {
      FAIL("element " << i << ": " << got.at(i) << " against " << expected.at(i));
    }
  }
}

void check_close(const Result& got, const Result& expected, double tolerance) {
  for (size_t k = 0; k < got.outputs.size(); ++k) {
    INFO("output " << k);
    check_close(got.outputs[k], expected.outputs[k], tolerance);
  }
  for (size_t k = 0; k < got.grads.size(); ++k) {
    INFO("gradient " << k);
    check_close(got.grads[k], expected.grads[k], tolerance);
  }
}

// The same formulas with sums in another order: 1e-5 of the largest number, as float against
// double.
TEST_CASE("gpu: every op agrees with the CPU in float32 forward and backward") {
  YD_NEEDS_GPU();
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    check_close(run(c, DType::kFloat32, Device::cuda()), run(c, DType::kFloat32, {}), 1e-5);
  }
}

// bfloat16 keeps 8 bits: a result rounds by up to 2^-8 of itself, and batch norm's gradient is a
// difference of sums over rounded numbers; 1 % of the largest number holds both with little room.
TEST_CASE("gpu: every op in bfloat16 agrees with the CPU's float32 of the same rounded numbers") {
  YD_NEEDS_GPU();
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    check_close(run(c, DType::kBFloat16, Device::cuda()), run(c, DType::kBFloat16, {}), 1e-2);
  }
}

TEST_CASE("gpu: an op gives the same bits in whatever order its threads run") {
  YD_NEEDS_GPU();
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    const Result once = run(c, DType::kFloat32, Device::cuda());
    const OtherOrder order;
    check_close(run(c, DType::kFloat32, Device::cuda()), once, 0);
  }
}

}  // namespace
}  // namespace ydistill::test
