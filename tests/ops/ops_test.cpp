// SPDX-License-Identifier: MIT
#include <ydistill/autograd/gradcheck.h>
#include <ydistill/tensor/random.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "ops/op_cases.h"
#include "support/catch.h"

namespace ydistill::test {
namespace {

std::vector<OpCase> all_cases() {
  std::vector<OpCase> cases = layer_op_cases();
  for (OpCase& c : loss_op_cases()) cases.push_back(std::move(c));
  return cases;
}

std::vector<Tensor> converted(const std::vector<Tensor>& inputs, DType dtype) {
  std::vector<Tensor> out;
  for (const Tensor& t : inputs) out.push_back(t.to(dtype).clone());
  return out;
}

struct Result {
  std::vector<Tensor> outputs, grads;
};

/// Forward and backward with fixed weights on the outputs, rounded to `exact_in`.
Result run(const OpCase& c, const std::vector<Tensor>& inputs, DType exact_in = DType::kFloat64) {
  std::vector<Var> leaves;
  for (const Tensor& t : inputs) leaves.push_back(Var::leaf(t));
  Tape tape;
  const std::vector<Var> outputs = c.run(leaves);
  Result result;
  std::vector<Tensor> weights;
  for (const Var& out : outputs) {
    weights.push_back(
        Rng(99).uniform(out.shape(), -1, 1, DType::kFloat64).to(exact_in).to(out.dtype()));
    result.outputs.push_back(out.value());
  }
  tape.backward(outputs, weights);
  for (const Var& leaf : leaves) result.grads.push_back(leaf.grad());
  return result;
}

void check_close(const Tensor& got, const Tensor& expected, double tolerance) {
  REQUIRE(got.shape() == expected.shape());
  double scale = 1;
  for (int64_t i = 0; i < expected.numel(); ++i) scale = std::max(scale, std::abs(expected.at(i)));
  for (int64_t i = 0; i < got.numel(); ++i) {
    if (!(std::abs(got.at(i) - expected.at(i)) <= tolerance * scale)) {
      FAIL("element " << i << ": " << got.at(i) << " against " << expected.at(i));
    }
  }
}

TEST_CASE("ops: every registered op has a case in the table") {
  std::set<std::string> covered;
  for (const OpCase& c : all_cases()) covered.insert(c.op);
  for (const std::string& name : Op::all_names()) {
    INFO("op " << name);
    CHECK(covered.count(name) == 1);
  }
  for (const std::string& name : covered) {
    const auto names = Op::all_names();
    INFO("case " << name);
    CHECK(std::count(names.begin(), names.end(), name) == 1);
  }
}

TEST_CASE("ops: every backward agrees with finite differences in double") {
  for (const OpCase& c : all_cases()) {
    const GradcheckResult result = gradcheck(c.run, c.inputs);
    INFO(c.op << " " << c.variant << ": " << result.where << ", error " << result.worst);
    CHECK(result.ok);
  }
}

// Float sums of at most a few thousand terms of size 1: 1e-5 of the largest number.
TEST_CASE("ops: float32 agrees with float64 forward and backward") {
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    const std::vector<Tensor> single = converted(c.inputs, DType::kFloat32);
    const Result got = run(c, single);
    const Result expected = run(c, converted(single, DType::kFloat64));
    for (size_t k = 0; k < got.outputs.size(); ++k) {
      check_close(got.outputs[k], expected.outputs[k], 1e-5);
    }
    for (size_t k = 0; k < got.grads.size(); ++k)
      check_close(got.grads[k], expected.grads[k], 1e-5);
  }
}

// bfloat16 keeps 8 bits: a result rounds by up to 2^-8 of itself, and batch norm's gradient is a
// difference of sums over rounded numbers; 1 % of the largest number holds both with little room.
TEST_CASE("ops: bfloat16 agrees with float32 of the same rounded numbers forward and backward") {
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    std::vector<Tensor> rounded, wide;
    for (size_t i = 0; i < c.inputs.size(); ++i) {
      const DType dtype = c.always_float.count(i) ? DType::kFloat32 : DType::kBFloat16;
      rounded.push_back(c.inputs[i].to(dtype).clone());
      wide.push_back(rounded.back().to(DType::kFloat32).clone());
    }
    const Result got = run(c, rounded, DType::kBFloat16);
    const Result expected = run(c, wide, DType::kBFloat16);
    for (size_t k = 0; k < got.outputs.size(); ++k) {
      check_close(got.outputs[k], expected.outputs[k], 1e-2);
    }
    for (size_t k = 0; k < got.grads.size(); ++k) {
      CHECK(got.grads[k].dtype() == rounded[k].dtype());
      check_close(got.grads[k], expected.grads[k], 1e-2);
    }
  }
}

TEST_CASE("ops: two runs give the same bits") {
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    const Result a = run(c, converted(c.inputs, DType::kFloat32));
    const Result b = run(c, converted(c.inputs, DType::kFloat32));
    for (size_t k = 0; k < a.grads.size(); ++k) check_close(a.grads[k], b.grads[k], 0);
    for (size_t k = 0; k < a.outputs.size(); ++k) check_close(a.outputs[k], b.outputs[k], 0);
  }
}

TEST_CASE("ops: inputs that are views of a larger tensor give the same numbers") {
  for (const OpCase& c : all_cases()) {
    INFO(c.op << " " << c.variant);
    std::vector<Tensor> views;
    for (const Tensor& t : c.inputs) {
      const int64_t rows = t.size(0);
      std::vector<int64_t> sizes(t.shape().sizes().begin(), t.shape().sizes().end());
      sizes[0] = rows + 2;
      const Tensor larger = Tensor::full(Shape(sizes), 1e30, t.dtype());
      views.push_back(larger.slice(1, rows + 1));
      views.back().copy_from(t);
    }
    const Result got = run(c, views);
    const Result expected = run(c, c.inputs);
    for (size_t k = 0; k < got.outputs.size(); ++k) {
      check_close(got.outputs[k], expected.outputs[k], 0);
    }
    for (size_t k = 0; k < got.grads.size(); ++k) check_close(got.grads[k], expected.grads[k], 0);
  }
}

TEST_CASE("ops: an empty batch gives an empty output") {
  for (const OpCase& c : all_cases()) {
    if (!c.accepts_empty_batch) continue;
    INFO(c.op << " " << c.variant);
    std::vector<Var> inputs;
    const int64_t batch = c.inputs[0].size(0);
    for (const Tensor& t : c.inputs) {
      const bool has_batch = t.rank() == 4 && t.size(0) == batch && &t != &c.inputs[1];
      inputs.emplace_back(has_batch || &t == &c.inputs[0] || c.op == "concat" ? t.slice(0, 0) : t);
    }
    for (const Var& out : c.run(inputs)) CHECK(out.value().numel() == 0);
  }
}

}  // namespace
}  // namespace ydistill::test
