// SPDX-License-Identifier: MIT
#include <ydistill/autograd/gradcheck.h>

#include <algorithm>
#include <cmath>

#include <ydistill/tensor/random.h>

namespace ydistill {
namespace {

double weighted_sum(const std::vector<Var>& outputs, const std::vector<Tensor>& weights) {
  double sum = 0;
  for (size_t k = 0; k < outputs.size(); ++k) {
    const auto out = outputs[k].value().span<double>();
    const auto weight = weights[k].span<double>();
    for (size_t i = 0; i < out.size(); ++i) sum += weight[i] * out[i];
  }
  return sum;
}

}  // namespace

GradcheckResult gradcheck(const std::function<std::vector<Var>(const std::vector<Var>&)>& f,
                          const std::vector<Tensor>& inputs, const GradcheckOptions& options) {
  std::vector<Var> leaves;
  for (const Tensor& input : inputs) {
    if (input.dtype() != DType::kFloat64) {
      throw DTypeError("gradcheck: takes float64, got {}", input.str());
    }
    leaves.push_back(Var::leaf(input.clone()));
  }
  std::vector<Tensor> weights;
  {
    Tape tape;
    const std::vector<Var> outputs = f(leaves);
    Rng rng(options.seed);
    for (const Var& out : outputs) {
      weights.push_back(rng.uniform(out.shape(), -1, 1, DType::kFloat64));
    }
    tape.backward(outputs, weights);
  }

  GradcheckResult result{true, 0, ""};
  for (size_t k = 0; k < leaves.size(); ++k) {
    const auto x = leaves[k].value().span<double>();
    const auto analytic = leaves[k].grad().span<double>();
    const size_t stride = std::max<size_t>(1, x.size() / size_t(options.max_elements));
    for (size_t i = 0; i < x.size(); i += stride) {
      const double kept = x[i];
      x[i] = kept + options.step;
      const double above = weighted_sum(f(leaves), weights);
      x[i] = kept - options.step;
      const double below = weighted_sum(f(leaves), weights);
      x[i] = kept;
      const double numeric = (above - below) / (2 * options.step);
      const double error = std::abs(analytic[i] - numeric) / std::max(1.0, std::abs(numeric));
      if (!(error <= result.worst)) {
        result.worst = error;
        result.where = fmt::format("input {}, element {}: analytic {:.9g}, numeric {:.9g}", k, i,
                                   analytic[i], numeric);
      }
      if (!(error <= options.tolerance)) result.ok = false;
      if (std::isnan(error)) return result;
    }
  }
  return result;
}

}  // namespace ydistill
