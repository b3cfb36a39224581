// SPDX-License-Identifier: MIT
#include <ydistill/tensor/cuda/graph.h>
#include <ydistill/tensor/random.h>
#include <ydistill/train/optimizer.h>

#include <cmath>
#include <limits>
#include <memory>

#include "cuda/gpu.h"

namespace ydistill {
namespace {

/// Parameters of all groups, odd sizes among them, more than one block of any kernel; the same
/// numbers on either device.
struct Trained {
  ParameterStore store;
  std::unique_ptr<Optimizer> sgd;

  explicit Trained(Device device, const EmaOptions& ema = {0.9, 20},
                   OptimizerRule rule = OptimizerRule::kSgd)
      : store(DType::kFloat32, device) {
    store.freeze([](const std::string& name) { return name == "frozen.weight"; });
    store.add("frozen.weight", {9}, ParameterGroup::kDecay);
    store.add("a.weight", {16, 3, 3, 37}, ParameterGroup::kDecay);
    store.add("b.weight", {7, 1, 1, 5}, ParameterGroup::kDecay);
    store.add("bn.weight", {67}, ParameterGroup::kNoDecay);
    store.add("bn.bias", {67}, ParameterGroup::kBias);
    store.add_statistic("bn.running_mean", {67}, 0.5);
    store.allocate();
    for (int i = 0; i < store.num_parameters(); ++i) {
      const Tensor& value = store.var(i).value();
      value.copy_from(Rng(uint64_t(i)).uniform(value.shape(), -1, 1));
    }
    sgd = std::make_unique<Optimizer>(store, ema, rule);
  }

  /// Gradients of a step, about as large as its number.
  void set_grads(int step) {
    for (int i = 0; i < store.num_parameters(); ++i) {
      const Tensor& grad = store.var(i).grad();
      grad.copy_from(Rng(uint64_t(100 * step + i)).uniform(grad.shape(), -step, step));
    }
    store.statistic(0).copy_from(Rng(uint64_t(step)).uniform({67}, 0, 1));
  }
  void set_one_grad(double value) {
    const Tensor& grad = store.var(2).grad();
    const Tensor numbers = grad.to(Device::cpu()).clone();
    numbers.data<float>()[5] = float(value);
    grad.copy_from(numbers);
  }
  std::vector<Tensor> state() const {
    std::vector<Tensor> copies;
    for (const Tensor& t : {store.values(), store.grads(), sgd->momentum(), sgd->ema_values(),
                            sgd->ema_statistics()}) {
      copies.push_back(t.to(Device::cpu()).clone());
    }
    return copies;
  }
};

/// Rates as a warm-up gives them; gradients of step 1 have a norm of about 40.
OptimizerRates rates_of(int step) {
  OptimizerRates rates;
  rates.lr = {0.01 * step, 0.02 * step, 0.1 / step};
  rates.momentum = 0.8 + 0.02 * step;
  rates.weight_decay = 0.05;
  rates.clip_norm = step == 2 ? 0 : 60;
  return rates;
}

void check_same(const std::vector<Tensor>& got, const std::vector<Tensor>& expected,
                double tolerance) {
  for (size_t k = 0; k < got.size(); ++k) {
    INFO("buffer " << k);
    REQUIRE(got[k].shape() == expected[k].shape());
    for (int64_t i = 0; i < got[k].numel(); ++i) {
      const double bound = tolerance * std::max(1.0, std::abs(expected[k].at(i)));
      if (!(std::abs(got[k].at(i) - expected[k].at(i)) <= bound)) {
        FAIL("element " << i << ": " << got[k].at(i) << " against " << expected[k].at(i));
      }
    }
  }
}

// A GPU fuses a multiplication and an addition into one rounding where the CPU may round twice:
// a few units in the last place a step.
constexpr double kRounding = 1e-6;

TEST_CASE("gpu: sgd agrees with the CPU over warm-up rates and clipping") {
  YD_NEEDS_GPU();
  Trained cpu(Device::cpu()), gpu(Device::cuda());
  for (int step = 1; step <= 4; ++step) {
    for (Trained* t : {&cpu, &gpu}) {
      t->set_grads(step);
      t->sgd->step(rates_of(step));
    }
    INFO("step " << step);
    check_same(gpu.state(), cpu.state(), kRounding);
    CHECK(gpu.sgd->report().grad_norm == Approx(cpu.sgd->report().grad_norm).epsilon(1e-12));
    CHECK(gpu.sgd->report().skipped == 0);
  }
  CHECK(cpu.sgd->report().grad_norm > rates_of(4).clip_norm);  // so it was clipped
  CHECK(gpu.sgd->ema_updates() == 4);
}

TEST_CASE("gpu: adamw agrees with the CPU over warm-up rates and clipping") {
  YD_NEEDS_GPU();
  Trained cpu(Device::cpu(), {0.9, 20}, OptimizerRule::kAdamW);
  Trained gpu(Device::cuda(), {0.9, 20}, OptimizerRule::kAdamW);
  for (int step = 1; step <= 4; ++step) {
    for (Trained* t : {&cpu, &gpu}) {
      t->set_grads(step);
      t->sgd->step(rates_of(step));
    }
    INFO("step " << step);
    // Where a gradient is near 0, its square's root divides the rounding: ten times as much.
    check_same(gpu.state(), cpu.state(), 10 * kRounding);
    check_same({gpu.sgd->squares().to(Device::cpu())}, {cpu.sgd->squares()}, kRounding);
  }
}

TEST_CASE("gpu: the norm of the gradients is the CPU's") {
  YD_NEEDS_GPU();
  Trained cpu(Device::cpu()), gpu(Device::cuda());
  cpu.set_grads(3);
  gpu.set_grads(3);
  CHECK(gpu.sgd->grad_norm() == Approx(cpu.sgd->grad_norm()).epsilon(1e-12));
  gpu.set_one_grad(std::nan(""));
  CHECK(std::isnan(gpu.sgd->grad_norm()));
}

TEST_CASE("gpu: sgd leaves out and counts a step whose gradient is not finite") {
  YD_NEEDS_GPU();
  Trained gpu(Device::cuda());
  gpu.set_grads(1);
  gpu.sgd->step(rates_of(1));
  const std::vector<Tensor> before = gpu.state();
  int skipped = 0;
  for (const double value : {std::nan(""), std::numeric_limits<double>::infinity(),
                             -std::numeric_limits<double>::infinity()}) {
    gpu.set_grads(2);
    gpu.set_one_grad(value);
    gpu.sgd->step(rates_of(3));
    check_same(gpu.state(), before, 0);  // gradients are zero in both
    CHECK(gpu.sgd->report().skipped == ++skipped);
    CHECK_FALSE(std::isfinite(gpu.sgd->report().grad_norm));
  }
  gpu.set_grads(2);
  gpu.sgd->step(rates_of(3));
  CHECK(gpu.sgd->report().skipped == 3);
  CHECK(std::isfinite(gpu.sgd->report().grad_norm));
  CHECK(gpu.state()[0].at(0) != before[0].at(0));
}

/// Bits of `got` that are not those of `expected`.
int64_t different_bits(const Tensor& got, const Tensor& expected) {
  const Tensor a = got.to(Device::cpu()), b = expected.to(Device::cpu());
  int64_t count = 0;
  for (int64_t i = 0; i < a.numel(); ++i) count += a.at(i) != b.at(i) ? 1 : 0;
  return count;
}

TEST_CASE("gpu: values kept rounded are the rounded values after every step") {
  YD_NEEDS_GPU();
  for (const OptimizerRule rule : {OptimizerRule::kSgd, OptimizerRule::kAdamW}) {
    Trained gpu(Device::cuda(), {0.9, 20}, rule);
    ParameterStore& store = gpu.store;
    store.keep_rounded();
    const auto check_rounded = [&] {
      CHECK(different_bits(store.rounded(), store.values().to(DType::kBFloat16)) == 0);
      // What a convolution without padding reads is a part of it, and up to date.
      PackedWeights::DeviceCopy& copy = store.packed(1)->device_copy();
      CHECK(different_bits(copy.weights, store.var(1).value().to(DType::kBFloat16)) == 0);
      CHECK(copy.version == store.version());
    };
    check_rounded();
    for (int step = 1; step <= 3; ++step) {
      gpu.set_grads(step);
      if (step == 2) gpu.set_one_grad(std::nan(""));  // left out
      gpu.sgd->step(rates_of(step));
      check_rounded();
    }
    store.mark_statistics_changed();
    check_rounded();
    // Changed by others, frozen ones too: they are rounded anew before the next step.
    store.values().copy_from(Rng(9).uniform(store.values().shape(), -1, 1));
    store.mark_changed();
    CHECK(store.packed(1)->device_copy().version != store.version());
    gpu.set_grads(1);
    gpu.sgd->step(rates_of(1));
    check_rounded();
  }
}

TEST_CASE("gpu: a captured step replays with the rates staged last") {
  YD_NEEDS_GPU();
  Trained eager(Device::cuda()), replayed(Device::cuda());
  cuda::Graph graph;
  graph.capture([&] { replayed.sgd->launch(); });
  for (int step = 1; step <= 3; ++step) {
    eager.set_grads(step);
    eager.sgd->step(rates_of(step));
    replayed.set_grads(step);
    const uint64_t version = replayed.store.version();
    replayed.sgd->stage(rates_of(step));
    graph.launch();
    check_same(replayed.state(), eager.state(), 0);
    CHECK(replayed.store.version() != version);
  }
  replayed.set_grads(1);
  replayed.set_one_grad(std::nan(""));
  replayed.sgd->stage(rates_of(1));
  graph.launch();
  CHECK(replayed.sgd->report().skipped == 1);
}

TEST_CASE("gpu: two runs of sgd give the same bits") {
  YD_NEEDS_GPU();
  std::vector<Tensor> results[2];
  for (std::vector<Tensor>& result : results) {
    Trained gpu(Device::cuda());
    for (int step = 1; step <= 2; ++step) {
      gpu.set_grads(step);
      gpu.sgd->step(rates_of(step));
    }
    result = gpu.state();
  }
  check_same(results[0], results[1], 0);
}

}  // namespace
}  // namespace ydistill
