// SPDX-License-Identifier: MIT
#include <ydistill/layers/batch_norm_silu.h>
#include <ydistill/layers/concat.h>
#include <ydistill/layers/conv2d.h>
#include <ydistill/layers/pyramid_pool.h>
#include <ydistill/layers/reshape.h>
#include <ydistill/layers/upsample.h>
#include <ydistill/tensor/random.h>

#include "ops/op_cases.h"

namespace ydistill::test {
namespace {

Tensor random(const Shape& shape, uint64_t seed) {
  return Rng(seed).uniform(shape, -1, 1, DType::kFloat64);
}

Var run_batch_norm(const std::vector<Var>& in) {
  const Shape channels{in[0].shape()[-1]};
  const Tensor mean = Tensor::zeros(channels, in[1].dtype(), in[1].device());
  const Tensor var = Tensor::full(channels, 1, in[1].dtype(), in[1].device());
  return batch_norm_silu(in[0], in[1], in[2], mean, var, {}, in.size() > 3 ? in[3] : Var());
}

}  // namespace

std::vector<OpCase> layer_op_cases() {
  std::vector<OpCase> cases;
  const auto conv = [](int64_t stride, int64_t padding) {
    return [=](const std::vector<Var>& in) {
      return std::vector{conv2d(in[0], in[1], in.size() > 2 ? in[2] : Var(), {stride, padding})};
    };
  };
  cases.push_back({"conv2d",
                   "3x3 stride 1",
                   {random({2, 5, 4, 3}, 1), random({4, 3, 3, 3}, 2)},
                   conv(1, 1),
                   true,
                   {1}});
  cases.push_back({"conv2d",
                   "3x3 stride 2",
                   {random({1, 6, 7, 2}, 3), random({3, 3, 3, 2}, 4)},
                   conv(2, 1),
                   true,
                   {1}});
  cases.push_back({"conv2d",
                   "1x1 with bias",
                   {random({2, 3, 3, 4}, 5), random({5, 1, 1, 4}, 6), random({5}, 7)},
                   conv(1, 0),
                   true,
                   {1, 2}});
  const auto batch_norm = [](const std::vector<Var>& in) {
    return std::vector{run_batch_norm(in)};
  };
  cases.push_back({"batch_norm_silu",
                   "plain",
                   {random({2, 3, 3, 5}, 8), random({5}, 9), random({5}, 10)},
                   batch_norm,
                   true,
                   {1, 2}});
  cases.push_back(
      {"batch_norm_silu",
       "with residual and 37 channels",
       {random({2, 2, 3, 37}, 11), random({37}, 12), random({37}, 13), random({2, 2, 3, 37}, 14)},
       batch_norm,
       true,
       {1, 2}});
  cases.push_back({"concat",
                   "three inputs",
                   {random({2, 2, 3, 1}, 15), random({2, 2, 3, 4}, 16), random({2, 2, 3, 2}, 17)},
                   [](const std::vector<Var>& in) { return std::vector{concat(in)}; }});
  cases.push_back({"upsample2x", "", {random({2, 2, 3, 5}, 18)}, [](const std::vector<Var>& in) {
                     return std::vector{upsample2x(in[0])};
                   }});
  cases.push_back({"pyramid_pool",
                   "wider than its windows",
                   {random({2, 15, 16, 3}, 19)},
                   [](const std::vector<Var>& in) { return std::vector{pyramid_pool(in[0])}; }});
  cases.push_back({"pyramid_pool",
                   "smaller than its windows",
                   {random({1, 2, 3, 4}, 20)},
                   [](const std::vector<Var>& in) { return std::vector{pyramid_pool(in[0])}; }});
  for (const int64_t window : {3, 7}) {
    cases.push_back({"pyramid_pool",
                     "with a window of " + std::to_string(window),
                     {random({1, 8, 11, 3}, 30)},
                     [window](const std::vector<Var>& in) {
                       return std::vector{pyramid_pool(in[0], window)};
                     }});
  }
  cases.push_back({"reshape", "", {random({2, 3, 4, 6}, 21)}, [](const std::vector<Var>& in) {
                     const Shape& s = in[0].shape();
                     return std::vector{reshape(in[0], {s[0], s[1], s[2], 2, 3})};
                   }});
  return cases;
}

}  // namespace ydistill::test
