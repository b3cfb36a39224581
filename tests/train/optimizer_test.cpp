// SPDX-License-Identifier: MIT
#include <ydistill/train/optimizer.h>
#include <ydistill/train/schedule.h>

#include <cmath>

#include "support/catch.h"

namespace ydistill {
namespace {

/// One parameter of each group and a statistic.
struct Parameters {
  ParameterStore store;
  Parameters() {
    store.add("conv.weight", {3}, ParameterGroup::kDecay);
    store.add("bn.weight", {3}, ParameterGroup::kNoDecay);
    store.add("bn.bias", {3}, ParameterGroup::kBias);
    store.add_statistic("bn.running_mean", {3}, 0.5);
    store.allocate();
    for (int i = 0; i < 3; ++i) store.var(i).value().fill(1 + i);
  }
  void set_grads(double g) {
    for (int i = 0; i < 3; ++i) store.var(i).grad().fill(g);
  }
};

// The numbers follow the formula in optimizer.h by hand, in double.
TEST_CASE("sgd: Nesterov momentum and decay by group follow the formula") {
  Parameters p;
  Optimizer sgd(p.store, {});
  OptimizerRates rates;
  rates.lr = {0.1, 0.2, 0.3};
  rates.momentum = 0.9;
  rates.weight_decay = 0.01;
  double value[3] = {1, 2, 3}, buffer[3] = {}, ema[3] = {1, 2, 3};
  for (int step = 1; step <= 3; ++step) {
    p.set_grads(0.5 * step);
    sgd.step(rates);
    const double keep = 0.9999 * (1 - std::exp(-step / 2000.0));
    for (int i = 0; i < 3; ++i) {
      const double g = 0.5 * step + (i == 0 ? 0.01 * value[i] : 0);
      buffer[i] = 0.9 * buffer[i] + g;
      value[i] -= rates.lr[size_t(i)] * (g + 0.9 * buffer[i]);
      ema[i] = keep * ema[i] + (1 - keep) * value[i];
      CHECK(p.store.var(i).value().at(2) == Approx(value[i]).epsilon(1e-6));
      CHECK(p.store.var(i).grad().at(0) == 0);
    }
    const auto begin = p.store.range(ParameterGroup::kBias).first;
    CHECK(sgd.ema_values().at(begin) == Approx(ema[2]).epsilon(1e-6));
  }
  CHECK(sgd.ema_statistics().at(0) == Approx(0.5));
  CHECK(sgd.ema_updates() == 3);
}

// torch.optim.AdamW's steps, in double.
TEST_CASE("adamw: moments, their corrections and the decay apart follow the formula") {
  Parameters p;
  Optimizer adamw(p.store, {}, OptimizerRule::kAdamW);
  OptimizerRates rates;
  rates.lr = {0.1, 0.2, 0.3};
  rates.momentum = 0.9;
  rates.weight_decay = 0.05;
  double value[3] = {1, 2, 3}, m = 0, v = 0;
  for (int step = 1; step <= 4; ++step) {
    const double g = step == 3 ? -1.5 : 0.5 * step;
    p.set_grads(g);
    adamw.step(rates);
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const double unbiased_m = m / (1 - std::pow(0.9, step));
    const double unbiased_v = v / (1 - std::pow(0.999, step));
    for (int i = 0; i < 3; ++i) {
      const double lr = rates.lr[size_t(i)];
      if (i == 0) value[i] *= 1 - lr * 0.05;
      value[i] -= lr * unbiased_m / (std::sqrt(unbiased_v) + 1e-8);
      CHECK(p.store.var(i).value().at(1) == Approx(value[i]).epsilon(1e-5));
      CHECK(p.store.var(i).grad().at(0) == 0);
    }
  }
  CHECK(adamw.squares().at(0) == Approx(v));
}

TEST_CASE("optimizer: frozen parameters keep their value and their gradients count for nothing") {
  for (const OptimizerRule rule : {OptimizerRule::kSgd, OptimizerRule::kAdamW}) {
    ParameterStore store;
    store.freeze([](const std::string& name) { return name.starts_with("a."); });
    store.add("a.weight", {3}, ParameterGroup::kDecay);
    store.add("b.weight", {3}, ParameterGroup::kDecay);
    store.allocate();
    for (int i = 0; i < 2; ++i) {
      store.var(i).value().fill(1);
      store.var(i).grad().fill(i == 0 ? 1000 : 2);
    }
    CHECK(store.group(0) == ParameterGroup::kFrozen);
    Optimizer optimizer(store, {}, rule);
    CHECK(optimizer.grad_norm() == Approx(std::sqrt(3 * 4.0)));
    OptimizerRates rates;
    rates.lr.fill(0.1);
    rates.weight_decay = 0.1;
    optimizer.step(rates);
    CHECK(store.var(0).value().at(0) == 1);
    CHECK(store.var(0).grad().at(0) == 0);
    CHECK(store.var(1).value().at(0) < 1);
    CHECK(optimizer.ema_values().at(store.range(ParameterGroup::kFrozen).first) == 1);
  }
}

TEST_CASE("sgd: the gradient norm is over all groups and shows NaN") {
  Parameters p;
  Optimizer sgd(p.store, {});
  p.set_grads(2);
  CHECK(sgd.grad_norm() == Approx(std::sqrt(9 * 4.0)));
  p.store.var(1).grad().data<float>()[1] = std::nanf("");
  CHECK(std::isnan(sgd.grad_norm()));
}

TEST_CASE("sgd: a gradient above the clipping norm is scaled down to it") {
  Parameters clipped, scaled;
  Optimizer first(clipped.store, {}), second(scaled.store, {});
  OptimizerRates rates;
  rates.lr = {0.1, 0.2, 0.3};
  rates.clip_norm = 3;
  clipped.set_grads(2);  // of norm 6
  first.step(rates);
  CHECK(first.report().grad_norm == Approx(6));
  rates.clip_norm = 0;
  scaled.set_grads(2 * 3 / (6 + 1e-6));
  second.step(rates);
  for (int i = 0; i < 3; ++i) {
    CHECK(clipped.store.var(i).value().at(0) ==
          Approx(scaled.store.var(i).value().at(0)).epsilon(1e-6));
  }
  rates.clip_norm = 100;  // above the norm: nothing is scaled
  clipped.set_grads(2);
  scaled.set_grads(2);
  first.step(rates);
  rates.clip_norm = 0;
  second.step(rates);
  CHECK(first.report().grad_norm == Approx(second.report().grad_norm));
}

TEST_CASE("sgd: a step whose gradient is not finite is left out and counted") {
  Parameters p;
  Optimizer sgd(p.store, {});
  OptimizerRates rates;
  rates.lr = {0.1, 0.2, 0.3};
  p.set_grads(1);
  p.store.var(2).grad().data<float>()[0] = std::nanf("");
  sgd.step(rates);
  CHECK(sgd.report().skipped == 1);
  CHECK(std::isnan(sgd.report().grad_norm));
  for (int i = 0; i < 3; ++i) {
    CHECK(p.store.var(i).value().at(0) == 1 + i);
    CHECK(p.store.var(i).grad().at(0) == 0);
    CHECK(sgd.momentum().at(p.store.range(ParameterGroup(i)).first) == 0);
  }
}

TrainConfig recipe() {
  TrainConfig config;
  config.epochs = 100;
  config.batch = 16;
  return config;
}

// Expected numbers: RECIPE of YOLOv5 (train.py), worked out by hand.
TEST_CASE("schedule: warm-up interpolates rates and momentum and accumulation") {
  TrainConfig config = recipe();
  const Schedule schedule(config, 50);
  CHECK(schedule.warmup_iterations() == 150);
  const OptimizerRates first = schedule.rates(0, 0);
  CHECK(first.lr[size_t(ParameterGroup::kBias)] == Approx(0.1));
  CHECK(first.lr[size_t(ParameterGroup::kDecay)] == Approx(0));
  CHECK(first.momentum == Approx(0.8));
  CHECK(schedule.accumulate(0) == 1);
  const OptimizerRates half = schedule.rates(75, 1);
  CHECK(half.lr[size_t(ParameterGroup::kDecay)] == Approx(0.5 * 0.01 * schedule.lr_factor(1)));
  CHECK(half.momentum == Approx(0.8 + 0.5 * 0.137));
  CHECK(schedule.accumulate(75) == 2);  // 2.5 rounds to even
  CHECK(schedule.accumulate(151) == 4);
  CHECK(schedule.rates(151, 3).lr[0] == Approx(0.01 * schedule.lr_factor(3)));
  CHECK(schedule.rates(151, 3).weight_decay == Approx(0.0005));
  CHECK(schedule.rates(151, 3).clip_norm == config.clip_norm);
}

TEST_CASE("schedule: linear and cosine end where YOLOv5 ends them") {
  TrainConfig config = recipe();
  const Schedule linear(config, 1000);
  CHECK(linear.lr_factor(0) == Approx(1));
  CHECK(linear.lr_factor(99) == Approx(0.01 * 0.99 + 0.01));
  config.schedule = TrainConfig::Schedule::kCosine;
  config.lrf = 0.2;
  const Schedule cosine(config, 1000);
  CHECK(cosine.lr_factor(50) == Approx(0.6));
  config.schedule = TrainConfig::Schedule::kLinear;
  config.compat = TrainConfig::Compat::kV5;
  CHECK(Schedule(config, 1000).lr_factor(99) == Approx(0.2));
}

TEST_CASE("schedule: both stepping rules") {
  TrainConfig config = recipe();
  config.warmup_epochs = 0;
  const Schedule since_last(config, 10);
  CHECK_FALSE(since_last.steps_at(2, -1));
  CHECK(since_last.steps_at(3, -1));
  config.step_rule = TrainConfig::StepRule::kMultiple;
  const Schedule multiple(config, 10);
  CHECK(multiple.steps_at(0, -1));
  CHECK_FALSE(multiple.steps_at(3, 0));
  CHECK(multiple.steps_at(4, 0));
}

TEST_CASE("schedule: weight decay grows with what a step really sees") {
  TrainConfig config = recipe();
  config.batch = 48;
  CHECK(Schedule(config, 10).rates(1000000, 0).weight_decay == Approx(0.0005 * 48 / 64));
}

}  // namespace
}  // namespace ydistill
